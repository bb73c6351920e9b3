#include "report/figures/figure_style.h"

#include <array>

namespace condense {
namespace {

// Neighbours differ in lightness as well.
constexpr std::array kSpareColors = {
    SeriesColor::kBlue, SeriesColor::kOrange, SeriesColor::kGreen, SeriesColor::kVermilion,
    SeriesColor::kSky,  SeriesColor::kPurple, SeriesColor::kGrey};
constexpr size_t kPoints = 15, kDashes = 5;
// From filled shapes to open ones to strokes.
constexpr std::array<SeriesPoint, kPoints> kSparePoints = {
    SeriesPoint::kSquare,      SeriesPoint::kDisc,     SeriesPoint::kTriangle,
    SeriesPoint::kDiamond,     SeriesPoint::kNabla,    SeriesPoint::kCircle,
    SeriesPoint::kOpenSquare,  SeriesPoint::kCross,    SeriesPoint::kOpenTriangle,
    SeriesPoint::kOpenDiamond, SeriesPoint::kPlus,     SeriesPoint::kOpenNabla,
    SeriesPoint::kStar,        SeriesPoint::kPentagon, SeriesPoint::kOpenPentagon};
constexpr std::array<SeriesDash, kDashes> kSpareDashes = {SeriesDash::kSolid, SeriesDash::kDashed,
                                                          SeriesDash::kDashDot, SeriesDash::kDotted,
                                                          SeriesDash::kDashDotDot};

}  // namespace

std::string GnuplotColor(SeriesColor color) {
  switch (color) {
    case SeriesColor::kBlack:
      return "'#000000'";
    case SeriesColor::kOrange:
      return "'#E69F00'";
    case SeriesColor::kSky:
      return "'#56B4E9'";
    case SeriesColor::kGreen:
      return "'#009E73'";
    case SeriesColor::kBlue:
      return "'#0072B2'";
    case SeriesColor::kVermilion:
      return "'#D55E00'";
    case SeriesColor::kPurple:
      return "'#CC79A7'";
    case SeriesColor::kGrey:
      return "'#8C8C8C'";
  }
  return "'#000000'";
}

std::string GnuplotPoint(SeriesPoint point) {
  switch (point) {
    case SeriesPoint::kPlus:
      return "1";
    case SeriesPoint::kCross:
      return "2";
    case SeriesPoint::kStar:
      return "3";
    case SeriesPoint::kOpenSquare:
      return "4";
    case SeriesPoint::kSquare:
      return "5";
    case SeriesPoint::kCircle:
      return "6";
    case SeriesPoint::kDisc:
      return "7";
    case SeriesPoint::kOpenTriangle:
      return "8";
    case SeriesPoint::kTriangle:
      return "9";
    case SeriesPoint::kOpenNabla:
      return "10";
    case SeriesPoint::kNabla:
      return "11";
    case SeriesPoint::kOpenDiamond:
      return "12";
    case SeriesPoint::kDiamond:
      return "13";
    case SeriesPoint::kOpenPentagon:
      return "14";
    case SeriesPoint::kPentagon:
      return "15";
  }
  return "7";
}

std::string GnuplotDash(SeriesDash dash) {
  switch (dash) {
    case SeriesDash::kSolid:
      return "solid";
    case SeriesDash::kDashed:
      return "(9,4)";
    case SeriesDash::kDotted:
      return "(2,3)";
    case SeriesDash::kDashDot:
      return "(10,3,2,3)";
    case SeriesDash::kDashDotDot:
      return "(10,3,2,3,2,3)";
  }
  return "solid";
}

// 7 colours and 15 points: the lengths have no common divisor, so that pairs repeat after 105.
SeriesStyle SpareStyle(size_t index) {
  return {kSpareColors[index % kSpareColors.size()], kSparePoints[index % kPoints],
          kSpareDashes[index % kDashes]};
}

}  // namespace condense
