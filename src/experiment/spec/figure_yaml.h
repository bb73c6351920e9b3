// The key `figure` of an experiment.
//
//   figure:
//     x: block-params           # a metric, or `ratio`, or `layer`
//     y: perplexity             # as the cell of a table
//     series: [method]          # keys that tell lines apart
//     panels: [model]           # keys that tell panels apart; [] for one panel
//     points: [ratio]           # keys that tell the points of a line apart, where x is a metric
//     x_axis: {label: weights removed, scale: linear, low: 0, high: 0.5}
//     y_axis: {scale: log}      # or log2
//     dense: line               # or none
//     interval: bars            # or band, none: 95 % over seeds
//     width: double             # or single: of a page, or of one of its two columns
//     columns: 3                # panels side by side
//     labels: {slicegpt: SliceGPT}
//
// With `x: layer`, y is a metric of modules (kept-params, relative_error, ...), and `layer` and
// `module` are keys. How a method looks is the same in every figure: configs/figure_styles.yaml.
#pragma once

#include "config/fields.h"
#include "experiment/spec/table_yaml.h"
#include "report/figures/figure.h"

namespace condense {

template <>
struct EnumNames<FigureAxis::Scale> {
  static constexpr std::array names{std::pair{FigureAxis::Scale::kLinear, "linear"},
                                    std::pair{FigureAxis::Scale::kLog, "log"},
                                    std::pair{FigureAxis::Scale::kLog2, "log2"}};
};
template <>
struct EnumNames<FigureSpec::Dense> {
  static constexpr std::array names{std::pair{FigureSpec::Dense::kLine, "line"},
                                    std::pair{FigureSpec::Dense::kNone, "none"}};
};
template <>
struct EnumNames<FigureSpec::Interval> {
  static constexpr std::array names{std::pair{FigureSpec::Interval::kBars, "bars"},
                                    std::pair{FigureSpec::Interval::kBand, "band"},
                                    std::pair{FigureSpec::Interval::kNone, "none"}};
};
template <>
struct EnumNames<FigureSpec::Width> {
  static constexpr std::array names{std::pair{FigureSpec::Width::kSingle, "single"},
                                    std::pair{FigureSpec::Width::kDouble, "double"}};
};

// "ratio", "layer", a metric, or {metric: NAME, protocol: ID, task: NAME}.
template <>
struct FieldType<FigureSource> {
  static void Read(const Node& node, FigureSource& value, Problems& problems);
  static std::string Canonical(const FigureSource& value);
  static std::string TypeName() { return "key or metric"; }
};

struct ExperimentAxis {
  FigureAxis axis;

  template <class V>
  void Fields(V&& field) {
    field("label", axis.label, "instead of the name of what is drawn", NonEmpty{});
    field("scale", axis.scale, "of the axis");
    field("low", axis.low, "where it begins, in stored units");
    field("high", axis.high, "where it ends");
  }
  void Validate(const Node& at, Problems& problems) const;
};

struct ExperimentFigure {
  FigureSource x;
  std::vector<ValueColumn> y;  // one
  std::vector<std::string> series{"method"}, panels{"model"};
  std::vector<std::string> points;  // empty: x itself, or ratio where x is a metric
  ExperimentAxis x_axis, y_axis;
  FigureSpec::Dense dense = FigureSpec::Dense::kLine;
  FigureSpec::Interval interval = FigureSpec::Interval::kBars;
  std::optional<FigureSpec::Width> width;
  std::optional<int> columns;
  std::map<std::string, std::string> labels;

  template <class V>
  void Fields(V&& field) {
    field("x", x, "horizontal position: ratio, layer or a metric", Required{});
    field("y", y, "metric", Required{}, NonEmpty{});
    field("series", series, "what tells lines apart", NonEmpty{});
    field("panels", panels, "what tells panels apart");
    field("points", points, "what tells the points of a line apart, where x is a metric",
          NonEmpty{});
    field("x_axis", x_axis, "label, scale and range");
    field("y_axis", y_axis, "label, scale and range");
    field("dense", dense, "whether the dense model is a line");
    field("interval", interval, "how the 95% interval over seeds is drawn");
    field("width", width, "of one column of a paper, or of the page");
    field("columns", columns, "panels side by side", Range(1, 6));
    field("labels", labels, "printed instead of keys and their values");
  }
  void Validate(const Node& at, Problems& problems) const;
};

// Without styles: those are read where a figure is drawn.
FigureSpec FigureSpecOf(const ExperimentFigure& figure, const std::string& title);

// configs/figure_styles.yaml; ConfigError if it is wrong, nothing if there is none.
std::map<std::string, SeriesStyle> ReadFigureStyles(const std::filesystem::path& file);

}  // namespace condense
