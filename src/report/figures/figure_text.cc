#include "report/figures/figure_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/strings.h"
#include "report/figures/figure_page.h"

namespace condense {
namespace {

constexpr int kColumns = 64, kRows = 18;  // inside the axes
constexpr const char* kBetween = "·";
constexpr const char* kDense = "╌";

// Differs for the first 16 series, which is more than a terminal can show.
std::string MarkOf(size_t series) {
  static const std::array<const char*, 16> marks = {"●", "■", "▲", "◆", "○", "□", "△", "◇",
                                                    "▼", "▽", "+", "x", "*", "#", "@", "%"};
  return marks[series % marks.size()];
}

// How far along the axis a value lies: 0 at the low end, 1 at the high end.
double Along(const DrawnAxis& axis, FigureAxis::Scale scale, double value) {
  if (scale == FigureAxis::Scale::kLinear) return (value - axis.low) / (axis.high - axis.low);
  return std::log(value / axis.low) / std::log(axis.high / axis.low);
}

struct Place {
  double column = 0, row = 0;  // row 0 is the lowest
};

class Canvas {
 public:
  void Put(int column, int row, const std::string& mark, bool over) {
    if (column < 0 || column >= kColumns || row < 0 || row >= kRows) return;
    std::string& cell = cells_[static_cast<size_t>(row)][static_cast<size_t>(column)];
    if (over || cell == " ") cell = mark;
  }
  void Put(const Place& at, const std::string& mark, bool over) {
    Put(static_cast<int>(std::lround(at.column)), static_cast<int>(std::lround(at.row)), mark,
        over);
  }
  void Connect(const Place& from, const Place& to) {
    const double length = std::max(std::abs(to.column - from.column), std::abs(to.row - from.row));
    const int steps = std::max(1, static_cast<int>(std::lround(length)));
    for (int i = 1; i < steps; ++i) {
      const double share = static_cast<double>(i) / steps;
      // Every other character: lines of dots look lighter than points.
      if (i % 2 == 0) continue;
      Put({from.column + share * (to.column - from.column), from.row + share * (to.row - from.row)},
          kBetween, false);
    }
  }
  std::string Row(int row) const {
    std::string line = Join(cells_[static_cast<size_t>(row)], "");
    line.erase(line.find_last_not_of(' ') + 1);
    return line;
  }

 private:
  std::vector<std::vector<std::string>> cells_ =
      std::vector(static_cast<size_t>(kRows), std::vector<std::string>(kColumns, " "));
};

class PanelText {
 public:
  PanelText(const Figure& figure, const FigurePanel& panel, const FigurePanelPlace& axes)
      : figure_(figure), panel_(panel), axes_(axes) {}

  std::string Write() {
    Draw();
    const std::vector<std::string> labels = LabelsOfRows();
    size_t width = 0;
    for (const std::string& label : labels) width = std::max(width, CodePointCount(label));
    std::string out;
    for (int row = kRows - 1; row >= 0; --row) {
      const std::string& label = labels[static_cast<size_t>(row)];
      out += std::string(width - CodePointCount(label), ' ') + label +
             (label.empty() ? " │" : " ┤") + canvas_.Row(row) + "\n";
    }
    return out + AxisBelow(width + 1);
  }

 private:
  Place PlaceOf(double x, double y) const {
    return {(kColumns - 1) * Along(axes_.x, figure_.x_axis.scale, x),
            (kRows - 1) * Along(axes_.y, figure_.y_axis.scale, y)};
  }

  // Lines first, then what must stay visible; the first series is drawn last, over the others.
  void Draw() {
    const auto place = [&](const FigurePoint& point) {
      return PlaceOf(figure_.x_factor * point.x, figure_.y_factor * point.y);
    };
    for (const FigureLine& line : panel_.lines) {
      for (size_t i = 1; i < line.points.size(); ++i) {
        canvas_.Connect(place(line.points[i - 1]), place(line.points[i]));
      }
    }
    if (panel_.dense) {
      const double row = PlaceOf(axes_.x.low, figure_.y_factor * *panel_.dense).row;
      for (int column = 0; column < kColumns; ++column) {
        canvas_.Put(column, static_cast<int>(std::lround(row)), kDense, false);
      }
    }
    for (size_t l = panel_.lines.size(); l-- > 0;) {
      for (const FigurePoint& point : panel_.lines[l].points) {
        canvas_.Put(place(point), MarkOf(panel_.lines[l].series), true);
      }
    }
  }

  std::vector<std::string> LabelsOfRows() const {
    std::vector<std::string> labels(kRows);
    for (const AxisTick& tick : axes_.y.ticks) {
      const auto row = static_cast<size_t>(std::lround(PlaceOf(axes_.x.low, tick.at).row));
      if (row < labels.size() && labels[row].empty()) labels[row] = tick.label;
    }
    return labels;
  }

  std::string AxisBelow(size_t indent) const {
    std::vector<std::string> axis(kColumns, "─");
    std::string labels;
    for (const AxisTick& tick : axes_.x.ticks) {
      if (tick.label.empty()) continue;
      const auto column = static_cast<size_t>(
          std::lround((kColumns - 1) * Along(axes_.x, figure_.x_axis.scale, tick.at)));
      if (column >= kColumns) continue;
      axis[column] = "┬";
      const size_t half = CodePointCount(tick.label) / 2;
      const size_t begin = column + 1 > half ? column + 1 - half : 0;
      const size_t used = CodePointCount(labels);
      if (used > 0 && begin <= used) continue;  // no room beside the one before
      labels += std::string(begin - used, ' ') + tick.label;
    }
    const std::string margin(indent, ' ');
    const size_t name = CodePointCount(figure_.x_axis.label);
    const std::string centred(name < kColumns ? (kColumns - name) / 2 : 0, ' ');
    return margin + "└" + Join(axis, "") + "\n" + margin + labels + "\n" + margin + " " + centred +
           figure_.x_axis.label + "\n";
  }

  const Figure& figure_;
  const FigurePanel& panel_;
  const FigurePanelPlace& axes_;
  Canvas canvas_;
};

std::string Legend(const Figure& figure) {
  std::string out, line;
  const auto add = [&](const std::string& entry) {
    if (!line.empty() && CodePointCount(line) + CodePointCount(entry) > kColumns + 10) {
      out += line + "\n";
      line.clear();
    }
    line += (line.empty() ? "  " : "   ") + entry;
  };
  for (size_t s = 0; s < figure.series.size(); ++s) add(MarkOf(s) + " " + figure.series[s].label);
  const bool dense = std::any_of(figure.panels.begin(), figure.panels.end(),
                                 [](const FigurePanel& panel) { return panel.dense.has_value(); });
  if (dense) add(fmt::format("{0}{0} {1}", kDense, figure.dense_label));
  return out + line + "\n";
}

}  // namespace

std::string FigureText(const Figure& figure) {
  const FigurePage page = LayOutFigure(figure);
  std::string out = figure.title + "\n";
  for (size_t p = 0; p < figure.panels.size(); ++p) {
    const FigurePanel& panel = figure.panels[p];
    out += '\n';
    if (!panel.title.empty()) out += panel.title + "\n";
    out += figure.y_axis.label + "\n" + PanelText(figure, panel, page.panels[p]).Write();
  }
  out += '\n';
  out += Legend(figure);
  for (const std::string& gap : figure.gaps) out += "not drawn: " + gap + "\n";
  return out;
}

}  // namespace condense
