// A figure: which point of which line each measurement is.
//
// BuildFigure() arranges measurements as a table does, and rejects what a table rejects: lines that
// mix two protocols, two different measurements at one point. The result is numbers with their
// intervals over seeds (protocols.md 2.8). figure_render.h writes them as CSV and as a gnuplot
// script; figure_gnuplot.h runs gnuplot. Nothing here depends on the database or on models.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "report/figures/figure_style.h"
#include "report/tables/table.h"

namespace condense {

// What the x axis shows: a key with numeric values, or a stored metric.
struct FigureSource {
  std::string key;        // "ratio", "layer"; else empty
  MetricSelector select;  // without mean
  const std::string& Name() const { return key.empty() ? select.metric : key; }
};

struct FigureAxis {
  enum class Scale { kLinear, kLog, kLog2 };
  std::string label;  // default: the name of what is drawn, with its unit
  Scale scale = Scale::kLinear;
  std::optional<double> low, high;  // in stored units; default: as the numbers need
};

struct FigureSpec {
  enum class Dense { kLine, kNone };
  enum class Interval { kBars, kBand, kNone };
  enum class Width { kSingle, kDouble };  // a column of a paper, or the whole page
  std::string title;
  FigureSource x;
  ValueColumn y;
  std::vector<std::string> series = {"method"}, panels = {"model"};
  // Keys that distinguish the points of one line. Measurements of one point differ only in the
  // seed.
  std::vector<std::string> points = {"ratio"};
  FigureAxis x_axis, y_axis;
  Dense dense = Dense::kLine;
  Interval interval = Interval::kBars;
  std::optional<Width> width;                 // default: double where there are several panels
  std::optional<int> columns;                 // panels side by side; default: up to three
  std::map<std::string, std::string> labels;  // printed instead of keys, key values and metrics
  // By key value. Series that are not named get an unused style.
  std::map<std::string, SeriesStyle> styles;
};

struct FigurePoint {
  std::vector<std::string> keys;  // values of the point keys
  double x = 0, y = 0;            // full precision, as stored; means over seeds
  std::optional<double> half_interval;
  int seeds = 0;
};

struct FigureLine {
  size_t series = 0;                // in Figure::series
  std::vector<FigurePoint> points;  // from left to right
};

struct FigurePanel {
  std::vector<std::string> keys;  // values of the panel keys
  std::string title;
  std::optional<double> dense;  // the dense model's value
  std::vector<FigureLine> lines;
};

struct FigureSeries {
  std::vector<std::string> keys;  // values of the series keys
  std::string label;
  SeriesStyle style;
};

struct Figure {
  std::string title;
  std::vector<std::string> panel_keys, series_keys, point_keys;
  std::string x_name, y_name, protocol;  // as the CSV names them; the protocol is that of y
  FigureAxis x_axis, y_axis;             // with labels
  double x_factor = 1, y_factor = 1;     // 100 where the axis shows percent
  bool whole_x = false;                  // x counts something, such as layers
  std::string dense_label;
  FigureSpec::Interval interval = FigureSpec::Interval::kBars;
  FigureSpec::Width width = FigureSpec::Width::kDouble;
  int columns = 1;
  std::vector<FigureSeries> series;
  std::vector<FigurePanel> panels;
  // What belongs in the figure but could not be drawn, one sentence each.
  std::vector<std::string> gaps;
};

// Panels and series are in the order in which their key values first occur among the measurements.
// With x = layer, every measurement is split by layer and module, which become the keys `layer` and
// `module`. ConfigError for a misleading or empty figure.
Figure BuildFigure(const FigureSpec& spec, const std::vector<Measurement>& measurements,
                   ScoreSource* scores = nullptr);

}  // namespace condense
