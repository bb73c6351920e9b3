#include "report/figures/figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/strings.h"
#include "report/tables/layout.h"
#include "report/tables/value_reader.h"
#include "stats/intervals.h"
#include "stats/stored_names.h"

namespace condense {
namespace {

using Place = std::vector<const Measurement*>;

// --- Layers

// One measurement per layer and module of each measurement.
std::vector<Measurement> ByLayer(const FigureSpec& spec,
                                 const std::vector<Measurement>& measurements) {
  std::vector<Measurement> parts;
  for (const Measurement& measurement : measurements) {
    Measurement part = measurement;
    for (const MetricValue& value : measurement.values) {
      const auto place = ParseModulePlace(value.task);
      if (!place || value.metric != spec.y.select.metric) continue;
      part.keys["layer"] = std::to_string(place->layer);
      part.keys["module"] = place->module;
      part.values = {value};
      part.values.front().task.clear();
      parts.push_back(part);
    }
    // It is reported as a gap.
    if (!part.keys.contains("layer") && !measurement.dense) parts.push_back(measurement);
  }
  return parts;
}

// --- Labels

// What is drawn along an axis: a key such as "ratio", or a metric.
struct Quantity {
  std::string name, label, unit;
};

Quantity QuantityOf(const std::string& key) {
  if (key == "ratio") return {key, "fraction to remove", "fraction"};
  std::string label = key;
  std::replace(label.begin(), label.end(), '_', ' ');
  return {key, label, ""};
}

Quantity QuantityOf(const MetricSelector& select, const std::vector<Measurement>& measurements) {
  const Metric metric = MetricOf(select, measurements);
  if (select.mean.empty()) return {metric.name, metric.label, metric.unit};
  return {select.mean, select.mean, metric.unit};
}

// Fractions are drawn in percent.
double FactorOf(const Quantity& quantity) { return quantity.unit == "fraction" ? 100 : 1; }

std::string LabelWithUnit(const Quantity& quantity, const std::string& task,
                          const std::map<std::string, std::string>& labels) {
  const auto label = labels.find(quantity.name);
  std::string shown = label == labels.end() ? quantity.label : label->second;
  if (!task.empty()) {
    const auto task_label = labels.find(task);
    shown = fmt::format("{}, {}", task_label == labels.end() ? task : task_label->second, shown);
  }
  if (quantity.unit == "fraction") return shown + " (%)";
  const bool says_nothing = quantity.unit.empty() || quantity.unit == "count";
  return says_nothing ? shown : fmt::format("{} ({})", shown, quantity.unit);
}

std::string LabelOfY(const FigureSpec& spec, const Quantity& y) {
  using Kind = ValueColumn::Kind;
  if (!spec.y_axis.label.empty()) return spec.y_axis.label;
  if (!spec.y.heading.empty()) return spec.y.heading;
  if (spec.y.kind == Kind::kValue) return LabelWithUnit(y, spec.y.select.task, spec.labels);
  const auto label = spec.labels.find(y.name);
  const std::string shown = label == spec.labels.end() ? y.name : label->second;
  if (spec.y.kind == Kind::kRelativeToDense) return shown + " / dense";
  if (spec.y.kind == Kind::kRetention) return fmt::format("retention of {} (%)", shown);
  return fmt::format("retention above chance of {} (%)", shown);
}

// --- Numbers

std::optional<double> NumberOf(const std::string& text) {
  double number = 0;
  const char* end = text.data() + text.size();
  if (text.empty() || std::from_chars(text.data(), end, number).ptr != end) return std::nullopt;
  return number;
}

std::optional<double> ReadX(const FigureSpec& spec, const Measurement& measurement) {
  if (!spec.x.key.empty()) {
    const auto key = measurement.keys.find(spec.x.key);
    return key == measurement.keys.end() ? std::nullopt : NumberOf(key->second);
  }
  const MetricSelector& select = spec.x.select;
  const MetricValue* found = nullptr;
  for (const MetricValue& value : measurement.values) {
    if (value.metric != select.metric || value.task != select.task) continue;
    if (!select.protocol.empty() && value.protocol != select.protocol) continue;
    if (found != nullptr && found->protocol != value.protocol) {
      throw MakeError<ConfigError>(
          "figure '{}': x: '{}' is stored under two protocols, '{}' and '{}'; name one, as x: "
          "{{metric: {}, protocol: {}}}",
          spec.title, select.metric, found->protocol, value.protocol, select.metric,
          found->protocol);
    }
    found = &value;
  }
  return found == nullptr ? std::nullopt : std::optional(found->value);
}

std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::string DescribeCell(const Measurement& measurement) {
  std::vector<std::string> parts;
  for (const char* key : {"model", "method", "ratio", "calibration", "seed", "layer", "module"}) {
    const auto found = measurement.keys.find(key);
    if (found != measurement.keys.end()) parts.push_back(fmt::format("{}={}", key, found->second));
  }
  return Join(parts, ", ");
}

class FigureBuilder {
 public:
  FigureBuilder(const FigureSpec& spec, const std::vector<Measurement>& measurements,
                ScoreSource* scores)
      : spec_(spec),
        measurements_(measurements),
        table_(LayoutSpec(spec)),
        reader_(table_, spec.y, measurements, scores) {}

  Figure Build() {
    Describe();
    // The dense model is a line of every panel that it belongs to, not a series.
    std::vector<Measurement> drawn;
    std::copy_if(measurements_.begin(), measurements_.end(), std::back_inserter(drawn),
                 [](const Measurement& measurement) { return !measurement.dense; });
    const std::vector<Measurement> placed = WithPointKeys(drawn);
    if (spec_.x.key == "ratio") CheckUniformKeys(table_, placed);
    const Layout layout = ArrangeMeasurements(table_, placed);
    for (size_t r = 0; r < layout.rows.size(); ++r) AddLine(layout, r);
    for (FigurePanel& panel : figure_.panels) {
      if (spec_.dense == FigureSpec::Dense::kLine) panel.dense = DenseOf(panel);
    }
    Finish();
    return std::move(figure_);
  }

 private:
  // A table whose rows are the lines and whose columns are the points.
  static TableSpec LayoutSpec(const FigureSpec& spec) {
    TableSpec table;
    table.noun = "figure";
    table.title = spec.title;
    table.rows = spec.panels;
    table.rows.insert(table.rows.end(), spec.series.begin(), spec.series.end());
    table.columns = spec.points;
    table.cells = {spec.y};
    table.labels = spec.labels;
    return table;
  }

  void Describe() {
    figure_.title = spec_.title;
    figure_.panel_keys = spec_.panels;
    figure_.series_keys = spec_.series;
    figure_.point_keys = spec_.points;
    const Quantity x =
        spec_.x.key.empty() ? QuantityOf(spec_.x.select, measurements_) : QuantityOf(spec_.x.key);
    const Quantity y = QuantityOf(spec_.y.select, measurements_);
    figure_.x_name = x.name;
    figure_.y_name = y.name;
    figure_.x_axis = spec_.x_axis;
    figure_.y_axis = spec_.y_axis;
    if (figure_.x_axis.label.empty()) {
      figure_.x_axis.label = LabelWithUnit(x, spec_.x.select.task, spec_.labels);
    }
    figure_.y_axis.label = LabelOfY(spec_, y);
    figure_.x_factor = FactorOf(x);
    figure_.y_factor = spec_.y.kind == ValueColumn::Kind::kValue ? FactorOf(y) : 1;
    figure_.whole_x = spec_.x.key == "layer";
    figure_.dense_label = ShownKey(table_, "method", "dense");
    figure_.interval = spec_.interval;
  }

  std::string Shown(const std::vector<std::string>& keys, const std::vector<std::string>& values) {
    std::vector<std::string> shown;
    for (size_t i = 0; i < keys.size(); ++i) {
      if (!values[i].empty()) shown.push_back(ShownKey(table_, keys[i], values[i]));
    }
    return Join(shown, ", ");
  }

  // A measurement without one of the point keys is a gap (a method without calibration, where
  // calibration varies).
  std::vector<Measurement> WithPointKeys(const std::vector<Measurement>& measurements) {
    std::vector<Measurement> placed;
    for (const Measurement& measurement : measurements) {
      const auto lacking =
          std::find_if(spec_.points.begin(), spec_.points.end(),
                       [&](const std::string& key) { return !measurement.keys.contains(key); });
      if (lacking == spec_.points.end()) {
        placed.push_back(measurement);
      } else if (*lacking == "layer") {
        AddGap(measurement, fmt::format("no {} of its modules is stored", figure_.y_name));
      } else {
        AddGap(measurement, fmt::format("has no {}", *lacking));
      }
    }
    return placed;
  }

  void AddGap(const Measurement& measurement, const std::string& otherwise) {
    const bool failed = measurement.status == Measurement::Status::kFailed;
    figure_.gaps.push_back(fmt::format(
        "{}: {}", DescribeCell(measurement),
        failed ? OneLine(fmt::format("{}: {}", measurement.error_class, measurement.error_message))
               : otherwise));
  }

  void AddLine(const Layout& layout, size_t row) {
    const Keys& keys = layout.rows[row];
    const auto middle = keys.begin() + static_cast<std::ptrdiff_t>(spec_.panels.size());
    std::vector<FigurePoint> points;
    for (size_t c = 0; c < layout.columns.size(); ++c) {
      const Place& place = layout.places[row][c];
      if (place.empty()) continue;
      if (auto point = PointOf(place)) {
        point->keys = layout.columns[c];
        points.push_back(*std::move(point));
      }
    }
    if (points.empty()) return;
    std::stable_sort(points.begin(), points.end(),
                     [](const FigurePoint& a, const FigurePoint& b) { return a.x < b.x; });
    PanelOf({keys.begin(), middle})
        .lines.push_back({SeriesOf({middle, keys.end()}), std::move(points)});
  }

  std::optional<FigurePoint> PointOf(const Place& place) {
    std::vector<double> xs, ys;
    for (const Measurement* measurement : place) {
      const auto x = ReadX(spec_, *measurement);
      const auto y = reader_.Read(*measurement);
      if (!x) {
        AddGap(*measurement, fmt::format("{} was not measured", figure_.x_name));
      } else if (!y) {
        AddGap(*measurement, fmt::format("{} was not measured", figure_.y_name));
      } else if (!std::isfinite(*x) || !std::isfinite(y->value)) {
        AddGap(*measurement, "is not finite");
      } else {
        xs.push_back(*x);
        ys.push_back(y->value);
      }
    }
    if (ys.empty()) return std::nullopt;
    const Estimate estimate = MeanWithInterval(ys);
    FigurePoint point{.x = MeanOf(xs), .y = estimate.mean, .seeds = static_cast<int>(ys.size())};
    if (ys.size() > 1) point.half_interval = estimate.half_interval;
    return point;
  }

  size_t SeriesOf(const Keys& keys) {
    for (size_t i = 0; i < figure_.series.size(); ++i) {
      if (figure_.series[i].keys == keys) return i;
    }
    figure_.series.push_back({keys, Shown(spec_.series, keys), {}});
    return figure_.series.size() - 1;
  }

  FigurePanel& PanelOf(const Keys& keys) {
    for (FigurePanel& panel : figure_.panels) {
      if (panel.keys == keys) return panel;
    }
    figure_.panels.push_back({keys, Shown(spec_.panels, keys), std::nullopt, {}});
    return figure_.panels.back();
  }

  // The dense measurement that agrees in every panel key that it has.
  std::optional<double> DenseOf(const FigurePanel& panel) {
    for (const Measurement& dense : measurements_) {
      if (!dense.dense) continue;
      bool agrees = true;
      for (size_t i = 0; i < spec_.panels.size(); ++i) {
        const auto own = dense.keys.find(spec_.panels[i]);
        agrees = agrees && (own == dense.keys.end() || own->second == panel.keys[i]);
      }
      if (!agrees) continue;
      if (const auto value = reader_.Read(dense)) return value->value;
    }
    return std::nullopt;
  }

  void Finish() {
    if (figure_.panels.empty()) {
      std::string why = figure_.gaps.empty() ? "" : "; " + figure_.gaps.front();
      if (figure_.gaps.size() > 1) why += fmt::format(" (and {} more)", figure_.gaps.size() - 1);
      throw MakeError<ConfigError>("figure '{}' has nothing to draw{}", spec_.title, why);
    }
    GiveStyles();
    figure_.protocol = reader_.protocol();
    const int panels = static_cast<int>(figure_.panels.size());
    figure_.columns = std::min(spec_.columns.value_or(3), panels);
    figure_.width = spec_.width.value_or(figure_.columns > 1 ? FigureSpec::Width::kDouble
                                                             : FigureSpec::Width::kSingle);
  }

  // The named style of the first of its key values that has one which no other series uses.
  void GiveStyles() {
    std::vector<SeriesStyle> taken;
    const auto is_free = [&](const SeriesStyle& style) {
      return std::none_of(taken.begin(), taken.end(), [&](const SeriesStyle& other) {
        return other.color == style.color && other.point == style.point;
      });
    };
    std::vector<FigureSeries*> without;
    for (FigureSeries& series : figure_.series) {
      const auto named = std::find_if(series.keys.begin(), series.keys.end(), [&](const auto& key) {
        return spec_.styles.contains(key) && is_free(spec_.styles.at(key));
      });
      if (named == series.keys.end()) {
        without.push_back(&series);
      } else {
        series.style = spec_.styles.at(*named);
        taken.push_back(series.style);
      }
    }
    size_t next = 0;
    for (FigureSeries* series : without) {
      while (next < kSpareStyles && !is_free(SpareStyle(next))) ++next;
      series->style = SpareStyle(next++);
      taken.push_back(series->style);
    }
  }

  const FigureSpec& spec_;
  const std::vector<Measurement>& measurements_;
  const TableSpec table_;
  ValueReader reader_;
  Figure figure_;
};

}  // namespace

Figure BuildFigure(const FigureSpec& spec, const std::vector<Measurement>& measurements,
                   ScoreSource* scores) {
  if (spec.x.key == "layer") {
    const std::vector<Measurement> layers = ByLayer(spec, measurements);
    return FigureBuilder(spec, layers, scores).Build();
  }
  return FigureBuilder(spec, measurements, scores).Build();
}

}  // namespace condense
