// The layout of a figure: sizes, margins, legend, and the axes of each panel. In points of 1/72
// inch from the lower left corner, so that nothing depends on how gnuplot measures text.
#pragma once

#include <string>
#include <vector>

#include "report/figures/figure.h"
#include "report/figures/figure_axis.h"

namespace condense {

struct FigureBox {
  double left = 0, right = 0, bottom = 0, top = 0;
};

struct FigurePanelPlace {
  FigureBox box;  // of the axes
  DrawnAxis x, y;
  bool lowest = false;  // no panel below
  bool first = false;   // in its row
};

struct LegendEntry {
  std::string label;
  const SeriesStyle* style = nullptr;  // null for the dense model
  double x = 0, y = 0;                 // left end of the sample, middle of the text
};

struct FigurePage {
  static constexpr double kFont = 8, kLine = 12;  // size of text, and from one line to the next
  static constexpr double kSample = 24, kSampleGap = 4;  // of a legend entry, and to its label

  double width = 0, height = 0;
  std::vector<FigurePanelPlace> panels;  // as in the figure
  std::vector<LegendEntry> legend;
};

// The figure must outlive the page, which points to its styles. ConfigError where a logarithmic
// axis has nothing to show.
FigurePage LayOutFigure(const Figure& figure);

}  // namespace condense
