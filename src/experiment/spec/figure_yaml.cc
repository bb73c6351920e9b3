#include "experiment/spec/figure_yaml.h"

#include <algorithm>

#include "base/strings.h"

namespace condense {

template <>
struct EnumNames<SeriesColor> {
  static constexpr std::array names{
      std::pair{SeriesColor::kBlack, "black"},   std::pair{SeriesColor::kOrange, "orange"},
      std::pair{SeriesColor::kSky, "sky"},       std::pair{SeriesColor::kGreen, "green"},
      std::pair{SeriesColor::kBlue, "blue"},     std::pair{SeriesColor::kVermilion, "vermilion"},
      std::pair{SeriesColor::kPurple, "purple"}, std::pair{SeriesColor::kGrey, "grey"}};
};
template <>
struct EnumNames<SeriesPoint> {
  static constexpr std::array names{std::pair{SeriesPoint::kPlus, "plus"},
                                    std::pair{SeriesPoint::kCross, "cross"},
                                    std::pair{SeriesPoint::kStar, "star"},
                                    std::pair{SeriesPoint::kSquare, "square"},
                                    std::pair{SeriesPoint::kDisc, "disc"},
                                    std::pair{SeriesPoint::kTriangle, "triangle"},
                                    std::pair{SeriesPoint::kNabla, "nabla"},
                                    std::pair{SeriesPoint::kDiamond, "diamond"},
                                    std::pair{SeriesPoint::kPentagon, "pentagon"},
                                    std::pair{SeriesPoint::kOpenSquare, "open square"},
                                    std::pair{SeriesPoint::kCircle, "circle"},
                                    std::pair{SeriesPoint::kOpenTriangle, "open triangle"},
                                    std::pair{SeriesPoint::kOpenNabla, "open nabla"},
                                    std::pair{SeriesPoint::kOpenDiamond, "open diamond"},
                                    std::pair{SeriesPoint::kOpenPentagon, "open pentagon"}};
};
template <>
struct EnumNames<SeriesDash> {
  static constexpr std::array names{
      std::pair{SeriesDash::kSolid, "solid"}, std::pair{SeriesDash::kDashed, "dashed"},
      std::pair{SeriesDash::kDotted, "dotted"}, std::pair{SeriesDash::kDashDot, "dash-dot"},
      std::pair{SeriesDash::kDashDotDot, "dash-dot-dot"}};
};

namespace {

const std::vector<std::string>& NumberKeys() {
  static const std::vector<std::string> keys = {"ratio", "layer"};
  return keys;
}

struct StyleEntry {
  SeriesStyle style;

  template <class V>
  void Fields(V&& field) {
    field("color", style.color, "of line and points", Required{});
    field("point", style.point, "shape of the points", Required{});
    field("dash", style.dash, "of the line", Required{});
  }
};

// Every key of the lists is a key of cells, and none is used twice.
class KeyCheck {
 public:
  KeyCheck(const Node& at, bool by_layer, Problems& problems) : at_(at), problems_(problems) {
    known_ = MeasurementKeys();
    if (by_layer) known_.insert(known_.end(), {"layer", "module"});
  }

  // `key` tells points apart without standing in a list.
  void CheckUnused(const char* list, const std::string& key) {
    if (!Contains(used_, key)) return;
    problems_.Add(*at_.Find(list),
                  fmt::format("'{}' distinguishes the points of a line, so it cannot distinguish "
                              "lines or panels",
                              key));
  }

  void Check(const char* list, const std::vector<std::string>& keys) {
    for (size_t i = 0; i < keys.size(); ++i) {
      const Node* given = at_.Find(list);
      const Node& place = given == nullptr ? at_ : given->items()[i];
      if (!Contains(known_, keys[i])) {
        problems_.Add(
            place, fmt::format("unknown figure key '{}'{}", keys[i], SuggestName(keys[i], known_)));
      } else if (Contains(used_, keys[i])) {
        problems_.Add(place, fmt::format("'{}' is used twice", keys[i]));
      }
      used_.push_back(keys[i]);
    }
  }

 private:
  const Node& at_;
  Problems& problems_;
  std::vector<std::string> known_, used_;
};

// What tells the points of a line apart.
std::vector<std::string> PointKeysOf(const ExperimentFigure& figure) {
  if (!figure.x.key.empty()) return {figure.x.key};
  return figure.points.empty() ? std::vector<std::string>{"ratio"} : figure.points;
}

}  // namespace

void FieldType<FigureSource>::Read(const Node& node, FigureSource& value, Problems& problems) {
  if (node.IsScalar() && Contains(NumberKeys(), node.text())) {
    value = {.key = node.text(), .select = {}};
    return;
  }
  if (node.IsScalar() && !FindMetric(node.text())) {
    std::vector<std::string> known = MetricNames();
    known.insert(known.end(), NumberKeys().begin(), NumberKeys().end());
    problems.Add(node, fmt::format("'{}' is neither {} nor a metric{}", node.text(),
                                   Join(NumberKeys(), ", "), SuggestName(node.text(), known)));
    return;
  }
  const size_t before = problems.count();
  std::vector<ValueColumn> columns;
  FieldType<std::vector<ValueColumn>>::Read(node, columns, problems);
  if (problems.count() != before) return;
  const bool plain = columns.size() == 1 && columns[0].select.mean.empty() &&
                     columns[0].kind == ValueColumn::Kind::kValue && !columns[0].show_error &&
                     !columns[0].format && columns[0].heading.empty();
  if (!plain) return AddExpected(node, "ratio, layer, or one stored metric", problems);
  value = {.key = "", .select = columns[0].select};
}

std::string FieldType<FigureSource>::Canonical(const FigureSource& value) {
  return JsonString(value.Name());
}

void ExperimentAxis::Validate(const Node& at, Problems& problems) const {
  if (axis.low && axis.high && *axis.low >= *axis.high) {
    problems.Add(*at.Find("high"), "must be above low");
  }
  if (axis.scale == FigureAxis::Scale::kLinear) return;
  for (const char* end : {"low", "high"}) {
    const std::optional<double>& value = *end == 'l' ? axis.low : axis.high;
    if (value && *value <= 0) {
      problems.Add(*at.Find(end), "must be above 0 on a logarithmic axis");
    }
  }
}

void ExperimentFigure::Validate(const Node& at, Problems& problems) const {
  const bool by_layer = x.key == "layer";
  if (y.size() != 1 || y[0].show_error || y[0].format) {
    AddExpected(*at.Find("y"), "one metric, without show or decimals", problems);
    return;
  }
  const std::vector<std::string> of_modules = MetricNames(Metric::Kind::kModule);
  if (by_layer && !Contains(of_modules, y[0].select.metric)) {
    AddExpected(*at.Find("y"),
                fmt::format("a metric of modules, because x is layer: {}", Join(of_modules, ", ")),
                problems);
  }
  if (by_layer && y[0].kind != ValueColumn::Kind::kValue) {
    problems.Add(*at.Find("y"),
                 "relative to the dense model is not possible here: it has no values of modules");
  }
  if (!points.empty() && !x.key.empty()) {
    problems.Add(*at.Find("points"), fmt::format("needs a metric as x, but x is {}", x.key));
    return;
  }
  KeyCheck keys(at, by_layer, problems);
  keys.Check("panels", panels);
  keys.Check("series", series);
  if (!points.empty()) {
    keys.Check("points", points);
  } else {
    keys.CheckUnused("x", PointKeysOf(*this).front());
  }
  if (by_layer && !Contains(panels, "module") && !Contains(series, "module")) {
    problems.Add(at, "with x: layer, 'module' must be among the panels or the series");
  }
}

FigureSpec FigureSpecOf(const ExperimentFigure& figure, const std::string& title) {
  FigureSpec spec;
  spec.title = title;
  spec.x = figure.x;
  spec.y = figure.y.at(0);
  spec.series = figure.series;
  spec.panels = figure.panels;
  spec.points = PointKeysOf(figure);
  spec.x_axis = figure.x_axis.axis;
  spec.y_axis = figure.y_axis.axis;
  spec.dense = figure.dense;
  spec.interval = figure.interval;
  spec.width = figure.width;
  spec.columns = figure.columns;
  spec.labels = figure.labels;
  return spec;
}

std::map<std::string, SeriesStyle> ReadFigureStyles(const std::filesystem::path& file) {
  std::map<std::string, SeriesStyle> styles;
  if (!std::filesystem::exists(file)) return styles;
  std::map<std::string, StyleEntry> entries;
  Problems problems;
  FieldType<std::map<std::string, StyleEntry>>::Read(Node::ParseFile(file), entries, problems);
  problems.ThrowIfAny();
  for (const auto& [name, entry] : entries) styles.emplace(name, entry.style);
  return styles;
}

}  // namespace condense
