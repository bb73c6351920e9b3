// The style of a series: colour, shape of the points, and dashes. Any one of them distinguishes the
// lines: on screen, in black-and-white print, and for colour-blind readers. The colours are those
// of Okabe and Ito without yellow, which is hard to see on white.
#pragma once

#include <string>
#include <vector>

namespace condense {

enum class SeriesColor { kBlack, kOrange, kSky, kGreen, kBlue, kVermilion, kPurple, kGrey };
enum class SeriesPoint {
  kPlus,
  kCross,
  kStar,
  kSquare,
  kDisc,
  kTriangle,
  kNabla,
  kDiamond,
  kPentagon,
  kOpenSquare,
  kCircle,
  kOpenTriangle,
  kOpenNabla,
  kOpenDiamond,
  kOpenPentagon,
};
enum class SeriesDash { kSolid, kDashed, kDotted, kDashDot, kDashDotDot };

struct SeriesStyle {
  SeriesColor color = SeriesColor::kBlack;
  SeriesPoint point = SeriesPoint::kDisc;
  SeriesDash dash = SeriesDash::kSolid;
  bool operator==(const SeriesStyle&) const = default;
};

// As gnuplot writes them: "'#0072B2'", "7", "(6,2)" or "solid".
std::string GnuplotColor(SeriesColor color);
std::string GnuplotPoint(SeriesPoint point);
std::string GnuplotDash(SeriesDash dash);

// Styles for series without a named one, by number. Neighbours differ in colour, shape and dashes,
// and no pair of colour and shape repeats below kSpareStyles.
inline constexpr size_t kSpareStyles = 105;
SeriesStyle SpareStyle(size_t index);

}  // namespace condense
