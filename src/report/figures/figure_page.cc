#include "report/figures/figure_page.h"

#include <algorithm>

#include "base/strings.h"

namespace condense {
namespace {

using Interval = FigureSpec::Interval;

// Widths of characters in the widest usual font at this size.
constexpr double kDigit = 5.0, kLetter = 4.4;
constexpr double kSingleWidth = 252, kDoubleWidth = 504;
constexpr double kLegendGap = 10, kEdge = 4;
constexpr double kLine = FigurePage::kLine;

double TextWidth(const std::string& text, double character) {
  return character * static_cast<double>(CodePointCount(text));
}

// --- What the axes have to hold

DrawnAxis AxisX(const Figure& figure) {
  std::vector<double> values;
  for (const FigurePanel& panel : figure.panels) {
    for (const FigureLine& line : panel.lines) {
      for (const FigurePoint& point : line.points) values.push_back(figure.x_factor * point.x);
    }
  }
  return LayOutAxis(figure.x_axis, values, figure.x_factor, figure.whole_x);
}

DrawnAxis AxisY(const Figure& figure, const FigurePanel& panel) {
  std::vector<double> values;
  const auto add = [&](double value) { values.push_back(figure.y_factor * value); };
  if (panel.dense) add(*panel.dense);
  const bool log = figure.y_axis.scale != FigureAxis::Scale::kLinear;
  for (const FigureLine& line : panel.lines) {
    for (const FigurePoint& point : line.points) {
      add(point.y);
      if (!point.half_interval || figure.interval == Interval::kNone) continue;
      add(point.y + *point.half_interval);
      // An interval that reaches zero would take all decades of a logarithmic axis.
      if (!log || *point.half_interval < 0.9 * point.y) add(point.y - *point.half_interval);
    }
  }
  return LayOutAxis(figure.y_axis, values, figure.y_factor, false);
}

double WidestLabel(const DrawnAxis& axis) {
  double widest = 0;
  for (const AxisTick& tick : axis.ticks) widest = std::max(widest, TextWidth(tick.label, kDigit));
  return widest;
}

// --- Where everything goes

std::vector<LegendEntry> LegendOf(const Figure& figure) {
  std::vector<LegendEntry> entries;
  for (const FigureSeries& series : figure.series) entries.push_back({series.label, &series.style});
  const bool dense = std::any_of(figure.panels.begin(), figure.panels.end(),
                                 [](const FigurePanel& panel) { return panel.dense.has_value(); });
  if (dense) entries.push_back({figure.dense_label});
  return entries;
}

// Fills rows from the left, and returns the height of all of them.
double PlaceLegend(const Figure& figure, FigurePage& page) {
  page.legend = LegendOf(figure);
  double widest = 0;
  for (const LegendEntry& entry : page.legend)
    widest = std::max(widest, TextWidth(entry.label, kLetter));
  const double step = FigurePage::kSample + FigurePage::kSampleGap + widest + kLegendGap;
  const int count = static_cast<int>(page.legend.size());
  const double room = page.width - 2 * kEdge + kLegendGap;
  const int most = std::clamp(static_cast<int>(room / step), 1, count);
  // Rows of equal length look better than full rows and a short one.
  const int rows = (count + most - 1) / most, columns = (count + rows - 1) / rows;
  const double left = std::max(kEdge, 0.5 * (page.width - columns * step + kLegendGap));
  const double height = rows * kLine + kEdge;
  for (int i = 0; i < count; ++i) {
    LegendEntry& entry = page.legend[static_cast<size_t>(i)];
    entry.x = left + i % columns * step;
    entry.y = height - kLine * (i / columns + 0.5);
  }
  return height;
}

// Sizes of the grid of panels.
struct Grid {
  size_t columns = 1, rows = 1;
  std::vector<double> margins;             // left of the axes of each column
  double width = 0, height = 0;            // of the axes
  double above = 0, below = 0, label = 0;  // title; numbers; label of the x axis

  double Left(size_t column) const {
    double left = kColumnGap;
    for (size_t c = 0; c <= column; ++c) left += margins[c] + (c > 0 ? width + kColumnGap : 0);
    return left;
  }
  double Height() const { return static_cast<double>(rows) * (above + height + below) + label; }
  double Top(size_t row) const {
    return Height() - above - static_cast<double>(row) * (above + height + below);
  }

  static constexpr double kColumnGap = 5;
};

Grid MakeGrid(const Figure& figure, const FigurePage& page) {
  Grid grid{.columns = static_cast<size_t>(figure.columns)};
  grid.rows = (figure.panels.size() + grid.columns - 1) / grid.columns;
  grid.margins.assign(grid.columns, 0);
  for (size_t i = 0; i < page.panels.size(); ++i) {
    double& margin = grid.margins[i % grid.columns];
    margin = std::max(margin, WidestLabel(page.panels[i].y) + 9);
  }
  grid.margins[0] += kLine - 3;        // the label of the y axis
  double used = 2 * Grid::kColumnGap;  // on the right, for half a number
  for (const double margin : grid.margins) used += margin + Grid::kColumnGap;
  grid.width = (page.width - used) / static_cast<double>(grid.columns);
  grid.height = std::clamp(0.85 * grid.width, 110.0, 170.0);
  const bool titles = std::any_of(figure.panels.begin(), figure.panels.end(),
                                  [](const FigurePanel& panel) { return !panel.title.empty(); });
  grid.above = titles ? kLine + 5 : 6;
  grid.below = kLine + 4;
  grid.label = kLine + 6;
  return grid;
}

}  // namespace

FigurePage LayOutFigure(const Figure& figure) {
  FigurePage page;
  page.width = figure.width == FigureSpec::Width::kSingle ? kSingleWidth : kDoubleWidth;
  const double legend = PlaceLegend(figure, page) + 2;
  const DrawnAxis x = AxisX(figure);
  for (const FigurePanel& panel : figure.panels) {
    page.panels.push_back({.box = {}, .x = x, .y = AxisY(figure, panel)});
  }
  const Grid grid = MakeGrid(figure, page);
  page.height = legend + grid.Height();
  for (size_t i = 0; i < page.panels.size(); ++i) {
    FigurePanelPlace& panel = page.panels[i];
    panel.lowest = i + grid.columns >= page.panels.size();
    panel.first = i % grid.columns == 0;
    panel.box.left = grid.Left(i % grid.columns);
    panel.box.right = panel.box.left + grid.width;
    panel.box.top = legend + grid.Top(i / grid.columns);
    panel.box.bottom = panel.box.top - grid.height;
  }
  return page;
}

}  // namespace condense
