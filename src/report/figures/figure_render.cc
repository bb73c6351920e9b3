#include "report/figures/figure_render.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "report/csv.h"
#include "report/figures/figure_page.h"

namespace condense {
namespace {

using Interval = FigureSpec::Interval;

// A number for gnuplot, with every digit.
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

std::string LineLook(const SeriesStyle& style) {
  return fmt::format("lc rgb {} lw 1.6 dt {}", GnuplotColor(style.color), GnuplotDash(style.dash));
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

// Both ends of an interval, as gnuplot computes them. One that reaches below a logarithmic axis is
// cut there.
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
    lines.push_back(fmt::format("{} using {} with lines {}", block, place, LineLook(style)));
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

std::string PlotCommand(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) {
    out += fmt::format("{}{} notitle", out.empty() ? "plot " : ", \\\n     ", item);
  }
  return out + "\n";
}

std::string Margins(const FigurePage& page, const FigureBox& box) {
  return fmt::format(
      "set lmargin at screen {}\nset rmargin at screen {}\nset bmargin at screen {}\n"
      "set tmargin at screen {}\n",
      Fraction(box.left / page.width), Fraction(box.right / page.width),
      Fraction(box.bottom / page.height), Fraction(box.top / page.height));
}

std::string At(const FigurePage& page, double x, double y) {
  return fmt::format("screen {}, screen {}", Fraction(x / page.width), Fraction(y / page.height));
}

std::string PanelCommands(const Figure& figure, const FigurePage& page, size_t p) {
  const FigurePanelPlace& panel = page.panels[p];
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
                       At(page, middle, panel.box.bottom - FigurePage::kLine - 13));
  }
  if (panel.first) {
    out += fmt::format("set label {} at {} center rotate by 90\n", GnuplotText(figure.y_axis.label),
                       At(page, 7, 0.5 * (panel.box.bottom + panel.box.top)));
  }
  return out + PlotCommand(PlotItems(figure, panel.y, p));
}

// A plot of the whole page, in points.
std::string LegendCommands(const FigurePage& page) {
  std::string out = "\n# legend\nunset label\nunset logscale\nunset tics\nunset border\n";
  out += Margins(page, {0, page.width, 0, page.height});
  out += fmt::format("set xrange [0:{}]\nset yrange [0:{}]\n", page.width, page.height);
  std::vector<std::string> items;
  for (const LegendEntry& entry : page.legend) {
    const double text = entry.x + FigurePage::kSample + FigurePage::kSampleGap;
    out += fmt::format("set label {} at {},{} left\n", GnuplotText(entry.label), Coordinate(text),
                       Coordinate(entry.y));
    const std::string look = entry.style != nullptr ? LineLook(*entry.style) : kDenseLook;
    items.push_back(fmt::format("'+' every ::0::0 using ({}):({}):({}):(0) with vectors nohead {}",
                                Coordinate(entry.x), Coordinate(entry.y),
                                Coordinate(FigurePage::kSample), look));
    if (entry.style == nullptr) continue;
    items.push_back(fmt::format("'+' every ::0::0 using ({}):({}) with points {}",
                                Coordinate(entry.x + 0.5 * FigurePage::kSample),
                                Coordinate(entry.y), PointLook(*entry.style)));
  }
  return out + PlotCommand(items);
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
  // The key on the x axis is not repeated.
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
  const FigurePage page = LayOutFigure(figure);
  const double pixel = 96.0 / 72;
  std::string out = fmt::format("# {}\n# gnuplot {}.gp writes {}.svg and {}.pdf beside it.\n",
                                GnuplotText(figure.title), name, name, name);
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
      pixel * page.width, pixel * page.height, pixel * FigurePage::kFont, page.width / 72,
      page.height / 72, FigurePage::kFont);
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
