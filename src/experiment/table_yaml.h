// The key `table` of an experiment.
//
//   table:
//     rows: [model, method]
//     columns: [ratio]
//     cell: perplexity        # or {metric: perplexity, protocol: bundled-256, relative: true}
//     extra: [total-params]   # more columns, never marked as best
//     best: per_column        # or none
//     labels: {slicegpt: SliceGPT}
#pragma once

#include "config/fields.h"
#include "report/table.h"

namespace condense {

template <>
struct EnumNames<TableSpec::Best> {
  static constexpr std::array names{std::pair{TableSpec::Best::kPerColumn, "per_column"},
                                    std::pair{TableSpec::Best::kNone, "none"}};
};

struct ExperimentTable {
  std::vector<std::string> rows{"model", "method"}, columns{"ratio"};
  std::vector<ValueColumn> cell, extra;
  TableSpec::Best best = TableSpec::Best::kPerColumn;
  std::vector<std::string> compare;
  std::map<std::string, std::string> labels;

  template <class V>
  void Fields(V&& field) {
    field("rows", rows, "what tells rows apart", NonEmpty{});
    field("columns", columns, "what tells columns apart");
    field("cell", cell, "metric of each place, or a list of metrics", Required{}, NonEmpty{});
    field("extra", extra, "further metrics, as columns of their own");
    field("best", best, "whether the best value of a column is marked");
    field("compare", compare, "row keys among which the best is sought");
    field("labels", labels, "printed instead of keys and their values");
  }
  void Validate(const Node& at, Problems& problems) const;
};

// "perplexity", or {metric: perplexity, protocol: ID, heading: TEXT, relative: true, decimals: 2}.
template <>
struct FieldType<ValueColumn> {
  static void Read(const Node& node, ValueColumn& value, Problems& problems);
  static std::string Canonical(const ValueColumn& value) { return JsonString(value.select.metric); }
  static std::string TypeName() { return "metric"; }
};

// One metric stands for a list of one.
template <>
struct FieldType<std::vector<ValueColumn>> {
  static void Read(const Node& node, std::vector<ValueColumn>& value, Problems& problems);
  static std::string Canonical(const std::vector<ValueColumn>& value);
  static std::string TypeName() { return "metric or list of metrics"; }
};

TableSpec TableSpecOf(const ExperimentTable& table, const std::string& title);

}  // namespace condense
