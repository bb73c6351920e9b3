#include "report/figure_render.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "report/csv.h"
#include "report/figure_axis.h"

namespace condense {
namespace {

using Interval = FigureSpec::Interval;

// --- Sizes, in points of 1/72 inch

constexpr double kFont = 8, kGlyph = 5.0, kLine = 12;
constexpr double kSingleWidth = 252, kDoubleWidth = 504;
constexpr double kSampleWidth = 30, kLegendGap = 14;

double WidthOf(const Figure& figure) {
  return figure.width == FigureSpec::Width::kSingle ? kSingleWidth : kDoubleWidth;
}

double TextWidth(const std::string& text) {
  return kGlyph * static_cast<double>(CodePointCount(text));
}

struct Box {
  double left = 0, right = 0, bottom = 0, top = 0;
};

struct PanelLayout {
  Box box;
  DrawnAxis x, y;
  bool lowest = false;  // no panel below
  bool first = false;   // in its row
};

struct LegendEntry {
  std::string label;
  const SeriesStyle* style = nullptr;  // null for the dense model
};

struct Page {
  double width = 0, height = 0;
  std::vector<PanelLayout> panels;
  std::vector<LegendEntry> legend;
  int legend_columns = 1;
  double legend_step = 0, legend_left = 0, legend_top = 0;
};

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
  for (const AxisTick& tick : axis.ticks) widest = std::max(widest, TextWidth(tick.label));
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

void PlaceLegend(const Figure& figure, Page& page) {
  page.legend = LegendOf(figure);
  double widest = 0;
  for (const LegendEntry& entry : page.legend) widest = std::max(widest, TextWidth(entry.label));
  page.legend_step = kSampleWidth + 4 + widest + kLegendGap;
  const double room = page.width - 8 + kLegendGap;
  const int count = static_cast<int>(page.legend.size());
  page.legend_columns = std::clamp(static_cast<int>(room / page.legend_step), 1, count);
  // Rows of equal length look better than a full one and a rest.
  const int rows = (count + page.legend_columns - 1) / page.legend_columns;
  page.legend_columns = (count + rows - 1) / rows;
  page.legend_left =
      std::max(4.0, 0.5 * (page.width - page.legend_columns * page.legend_step + kLegendGap));
  page.legend_top = rows * kLine + 4;
}

Page LayOut(const Figure& figure) {
  Page page;
  page.width = WidthOf(figure);
  PlaceLegend(figure, page);
  const size_t columns = static_cast<size_t>(figure.columns);
  const size_t count = figure.panels.size(), rows = (count + columns - 1) / columns;
  const DrawnAxis x = AxisX(figure);
  std::vector<double> margins(columns, 0);
  for (size_t i = 0; i < count; ++i) {
    PanelLayout panel{.box = {}, .x = x, .y = AxisY(figure, figure.panels[i])};
    panel.lowest = i + columns >= count;
    panel.first = i % columns == 0;
    margins[i % columns] = std::max(margins[i % columns], WidestLabel(panel.y) + 9);
    page.panels.push_back(std::move(panel));
  }
  margins[0] += kLine - 3;  // the label of the axis
  double used = 10;         // on the right, for half a tick label
  for (const double margin : margins) used += margin + 5;
  const double width = (page.width - used) / static_cast<double>(columns);
  const double height = std::clamp(0.85 * width, 110.0, 170.0);
  const bool titles = std::any_of(figure.panels.begin(), figure.panels.end(),
                                  [](const FigurePanel& panel) { return !panel.title.empty(); });
  const double above = titles ? kLine + 5 : 6, ticks = kLine + 4, label = kLine + 6;
  page.height = page.legend_top + 2 + static_cast<double>(rows) * (above + height + ticks) + label;
  for (size_t i = 0; i < count; ++i) {
    Box& box = page.panels[i].box;
    box.left = 5;
    for (size_t c = 0; c <= i % columns; ++c) box.left += margins[c] + (c > 0 ? width + 5 : 0);
    box.right = box.left + width;
    box.top = page.height - above - static_cast<double>(i / columns) * (above + height + ticks);
    box.bottom = box.top - height;
  }
  return page;
}

// --- The script

// What gnuplot reads of a number: every digit.
std::string Number(double value) { return fmt::format("{}", value); }
std::string Coordinate(double value) { return fmt::format("{:.3f}", value); }
std::string Fraction(double value) { return fmt::format("{:.6f}", value); }

std::string BlockName(size_t panel, size_t line) { return fmt::format("$panel{}_{}", panel, line); }

std::string DataBlocks(const Figure& figure) {
  std::string out;
  for (size_t p = 0; p < figure.panels.size(); ++p) {
    for (size_t l = 0; l < figure.panels[p].lines.size(); ++l) {
      out += BlockName(p, l) + " << EOD\n";
      for (const FigurePoint& point : figure.panels[p].lines[l].points) {
        out += fmt::format("{} {} {}\n", Number(point.x), Number(point.y),
                           Number(point.half_interval.value_or(0)));
      }
      out += "EOD\n";
    }
  }
  return out;
}

std::string LineLook(const SeriesStyle& style, double width) {
  const std::string dash = GnuplotDash(style.dash);
  return fmt::format("lc rgb {} lw {} dt {}", GnuplotColor(style.color), width, dash);
}

std::string PointLook(const SeriesStyle& style, size_t points = 1) {
  return fmt::format("lc rgb {} lw 1 dt solid pt {} ps {}", GnuplotColor(style.color),
                     GnuplotPoint(style.point), points > 16 ? 0.4 : 0.55);
}

constexpr const char* kDenseLook = "lc rgb '#404040' lw 1.2 dt (3,3)";

std::string TickList(const DrawnAxis& axis) {
  std::vector<std::string> ticks;
  for (const AxisTick& tick : axis.ticks) {
    ticks.push_back(fmt::format("{} {} {}", GnuplotText(tick.label), Number(tick.at),
                                tick.label.empty() ? 1 : 0));
  }
  return Join(ticks, ", ");
}

std::string AxisCommands(const char* name, const FigureAxis& axis, const DrawnAxis& drawn) {
  std::string out = axis.scale == FigureAxis::Scale::kLinear
                        ? fmt::format("unset logscale {}\n", name)
                        : fmt::format("set logscale {} 10\n", name);
  out += fmt::format("set {}range [{}:{}]\n", name, Number(drawn.low), Number(drawn.high));
  out += fmt::format("set {}tics {} ({})\n", name, *name == 'x' ? "offset 0,0.35" : "offset 0.4,0",
                     TickList(drawn));
  return out;
}

// "($1*100):($2*100)"
std::string Column(int column, double factor) {
  return factor == 1 ? fmt::format("{}", column) : fmt::format("(${}*{})", column, factor);
}

// Both ends of an interval, as gnuplot computes them. What reaches below a logarithmic axis ends
// there.
struct IntervalEnds {
  std::string low, high;
};
IntervalEnds EndsOf(const Figure& figure, const DrawnAxis& y) {
  IntervalEnds ends{fmt::format("(($2-$3)*{})", figure.y_factor),
                    fmt::format("(($2+$3)*{})", figure.y_factor)};
  if (figure.y_axis.scale != FigureAxis::Scale::kLinear) {
    ends.low = fmt::format("({0}>{1}?{0}:{1})", ends.low, Number(y.low));
  }
  return ends;
}

bool HasIntervals(const FigureLine& line) {
  return std::any_of(line.points.begin(), line.points.end(),
                     [](const FigurePoint& point) { return point.half_interval.has_value(); });
}

// Bands first, then lines, then what must stay visible: bars and points.
std::vector<std::string> PlotItems(const Figure& figure, const DrawnAxis& y, size_t p) {
  const FigurePanel& panel = figure.panels[p];
  std::vector<std::string> bands, lines, points;
  if (panel.dense) {
    lines.push_back(
        fmt::format("{} with lines {}", Number(figure.y_factor * *panel.dense), kDenseLook));
  }
  for (size_t l = 0; l < panel.lines.size(); ++l) {
    const FigureLine& line = panel.lines[l];
    const SeriesStyle& style = figure.series[line.series].style;
    const std::string block = BlockName(p, l);
    const std::string place =
        fmt::format("{}:{}", Column(1, figure.x_factor), Column(2, figure.y_factor));
    const IntervalEnds ends = EndsOf(figure, y);
    const std::string x = Column(1, figure.x_factor), color = GnuplotColor(style.color);
    if (figure.interval == Interval::kBand && HasIntervals(line)) {
      bands.push_back(
          fmt::format("{} using {}:{}:{} with filledcurves fs transparent solid 0.18 noborder "
                      "lc rgb {}",
                      block, x, ends.low, ends.high, color));
    }
    lines.push_back(fmt::format("{} using {} with lines {}", block, place, LineLook(style, 1.6)));
    if (figure.interval == Interval::kBars && HasIntervals(line)) {
      // Vectors, because gnuplot's error bars leave a gap around the point.
      points.push_back(fmt::format(
          "{} using {}:($3>0?{}:NaN):(0):({}-{}) with vectors heads size graph 0.012,90 "
          "lc rgb {} lw 1 dt solid",
          block, x, ends.low, ends.high, ends.low, color));
    }
    points.push_back(fmt::format("{} using {} with points {}", block, place,
                                 PointLook(style, line.points.size())));
  }
  bands.insert(bands.end(), lines.begin(), lines.end());
  bands.insert(bands.end(), points.begin(), points.end());
  return bands;
}

std::string Margins(const Page& page, const Box& box) {
  return fmt::format(
      "set lmargin at screen {}\nset rmargin at screen {}\nset bmargin at screen {}\n"
      "set tmargin at screen {}\n",
      Fraction(box.left / page.width), Fraction(box.right / page.width),
      Fraction(box.bottom / page.height), Fraction(box.top / page.height));
}

std::string At(const Page& page, double x, double y) {
  return fmt::format("screen {}, screen {}", Fraction(x / page.width), Fraction(y / page.height));
}

std::string PanelCommands(const Figure& figure, const Page& page, size_t p) {
  const PanelLayout& panel = page.panels[p];
  std::string out = fmt::format(
      "\n# {}\n", figure.panels[p].title.empty() ? "panel" : GnuplotText(figure.panels[p].title));
  out += Margins(page, panel.box);
  out += AxisCommands("x", figure.x_axis, panel.x) + AxisCommands("y", figure.y_axis, panel.y);
  out += "unset label\n";
  const double middle = 0.5 * (panel.box.left + panel.box.right);
  if (!figure.panels[p].title.empty()) {
    out += fmt::format("set label {} at {} center\n", GnuplotText(figure.panels[p].title),
                       At(page, middle, panel.box.top + 8));
  }
  if (panel.lowest) {
    out += fmt::format("set label {} at {} center\n", GnuplotText(figure.x_axis.label),
                       At(page, middle, panel.box.bottom - kLine - 13));
  }
  if (panel.first) {
    out += fmt::format("set label {} at {} center rotate by 90\n", GnuplotText(figure.y_axis.label),
                       At(page, 7, 0.5 * (panel.box.bottom + panel.box.top)));
  }
  const std::vector<std::string> items = PlotItems(figure, panel.y, p);
  for (size_t i = 0; i < items.size(); ++i) {
    out += (i == 0 ? "plot " : ", \\\n     ") + items[i] + " notitle";
  }
  return out + "\n";
}

struct Place {
  double x = 0, y = 0;
};

Place LegendPlace(const Page& page, size_t entry) {
  const size_t columns = static_cast<size_t>(page.legend_columns);
  return {page.legend_left + static_cast<double>(entry % columns) * page.legend_step,
          page.legend_top - kLine * (static_cast<double>(entry / columns) + 0.5)};
}

// A plot of the whole page, in points.
std::string LegendCommands(const Page& page) {
  std::string out = "\n# legend\nunset label\nunset logscale\nunset tics\nunset border\n";
  out += Margins(page, {0, page.width, 0, page.height});
  out += fmt::format("set xrange [0:{}]\nset yrange [0:{}]\n", page.width, page.height);
  std::vector<std::string> items;
  for (size_t i = 0; i < page.legend.size(); ++i) {
    const auto [x, y] = LegendPlace(page, i);
    const LegendEntry& entry = page.legend[i];
    out += fmt::format("set label {} at {},{} left\n", GnuplotText(entry.label),
                       Coordinate(x + kSampleWidth + 4), Coordinate(y));
    const std::string look = entry.style != nullptr ? LineLook(*entry.style, 1.6) : kDenseLook;
    items.push_back(fmt::format("'+' every ::0::0 using ({}):({}):({}):(0) with vectors nohead {}",
                                Coordinate(x), Coordinate(y), Coordinate(kSampleWidth), look));
    if (entry.style == nullptr) continue;
    items.push_back(fmt::format("'+' every ::0::0 using ({}):({}) with points {}",
                                Coordinate(x + 0.5 * kSampleWidth), Coordinate(y),
                                PointLook(*entry.style)));
  }
  for (size_t i = 0; i < items.size(); ++i) {
    out += (i == 0 ? "plot " : ", \\\n     ") + items[i] + " notitle";
  }
  return out + "\n";
}

}  // namespace

std::string GnuplotText(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += '\'';
    quoted += c == '\n' || c == '\r' ? ' ' : c;
  }
  return quoted + "'";
}

std::string FigureCsv(const Figure& figure) {
  std::vector<std::string> heading = figure.panel_keys;
  heading.insert(heading.end(), figure.series_keys.begin(), figure.series_keys.end());
  // A key that is the x of the figure is not repeated.
  const bool keyed = figure.point_keys == std::vector<std::string>{figure.x_name};
  if (!keyed) heading.insert(heading.end(), figure.point_keys.begin(), figure.point_keys.end());
  for (const std::string& name : {figure.x_name, figure.y_name}) heading.push_back(name);
  for (const char* name : {"half_interval_95", "seeds", "protocol"}) heading.emplace_back(name);
  std::string out = CsvLine(heading);
  for (const FigurePanel& panel : figure.panels) {
    if (panel.dense) {
      std::vector<std::string> fields = panel.keys;
      fields.resize(heading.size());
      fields[panel.keys.size()] = "dense";
      fields[heading.size() - 4] = Number(*panel.dense);
      fields[heading.size() - 2] = "1";
      fields.back() = figure.protocol;
      out += CsvLine(fields);
    }
    for (const FigureLine& line : panel.lines) {
      const std::vector<std::string>& series = figure.series[line.series].keys;
      for (const FigurePoint& point : line.points) {
        std::vector<std::string> fields = panel.keys;
        fields.insert(fields.end(), series.begin(), series.end());
        if (!keyed) fields.insert(fields.end(), point.keys.begin(), point.keys.end());
        fields.push_back(Number(point.x));
        fields.push_back(Number(point.y));
        fields.push_back(point.half_interval ? Number(*point.half_interval) : "");
        fields.push_back(fmt::format("{}", point.seeds));
        fields.push_back(figure.protocol);
        out += CsvLine(fields);
      }
    }
  }
  return out;
}

std::string GnuplotScript(const Figure& figure, const std::string& name) {
  const Page page = LayOut(figure);
  const double pixel = 96.0 / 72;
  std::string out = fmt::format(
      "# {}\n# gnuplot {}.gp writes {}.svg and {}.pdf beside it.\n",
      [&] {
        std::string title = figure.title;
        std::replace(title.begin(), title.end(), '\n', ' ');
        return title;
      }(),
      name, name, name);
  out += "reset\nset encoding utf8\nset datafile separator whitespace\n" + DataBlocks(figure);
  out += fmt::format(
      "\ndo for [kind in \"svg pdf\"] {{\n"
      "if (kind eq \"svg\") {{\n"
      "set terminal svg noenhanced size {:.0f},{:.0f} dynamic "
      "font \"Arial,Helvetica,DejaVu Sans,sans-serif,{:.2f}\" background rgb 'white'\n"
      "}} else {{\n"
      "set terminal pdfcairo noenhanced size {:.4f}in,{:.4f}in font \"Sans,{}\" "
      "fontscale 0.75 linewidth 1.6 dashlength 1.4\n"
      "}}\n",
      pixel * page.width, pixel * page.height, pixel * kFont, page.width / 72, page.height / 72,
      kFont);
  out += fmt::format("set output {} . kind\n", GnuplotText(name + "."));
  out +=
      "set multiplot\nset border 3 lw 0.8\nset tics nomirror out scale 0.6,0.3\n"
      "set clip one\nset clip two\nset samples 2\n"
      "set grid xtics ytics lc rgb '#D0D0D0' lw 0.8 dt solid\n";
  for (size_t p = 0; p < page.panels.size(); ++p) out += PanelCommands(figure, page, p);
  out += LegendCommands(page);
  out += "unset multiplot\nunset output\nreset\n}\n";
  return out;
}

}  // namespace condense
