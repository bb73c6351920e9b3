// The key `table` of an experiment.
//
//   table:
//     rows: [model, method]
//     columns: [ratio]
//     cell: perplexity        # or {metric: perplexity, protocol: bundled-256, relative: true}
//     extra: [total-params]   # more columns, never marked as best
//     best: per_column        # or none
//     labels: {slicegpt: SliceGPT, bundle_facts: facts}
//     published: true         # a second table: values of papers beside ours
//     title: Perplexity       # of further tables; the first one has the experiment's
//     methods: [slicegpt]     # only these rows, by label, and the dense model
//
// Besides the keys of a cell (model, method, ratio, calibration, seed, ..., names of transforms) rows
// and columns may be told apart by `calibration_corpus`, `calibration_tokens` (samples x length) and `ablation`, which
// takes the ablation's name out of the method's label.
//
// A cell of tasks is one of
//
//   {metric: acc_norm, task: piqa, protocol: lmeval-bos}
//   {mean: mean5}             # of protocols.md 3.6
//   {tasks: mean5}            # a column for each task of the mean, with its metric, then the mean
//
// with `show: error` (the standard error in brackets), `show: sd` (the standard deviation over
// seeds instead of the interval), `retention: true` (100 x / dense) or `retention: above_chance`
// (the same above the level of guessing).
#pragma once

#include "config/fields.h"
#include "report/tables/table.h"

namespace condense {

template <>
struct EnumNames<TableSpec::Best> {
  static constexpr std::array names{std::pair{TableSpec::Best::kPerColumn, "per_column"},
                                    std::pair{TableSpec::Best::kNone, "none"}};
};

struct ExperimentTable {
  std::string title;
  std::vector<std::string> rows{"model", "method"}, columns{"ratio"};
  std::vector<ValueColumn> cell, extra;
  TableSpec::Best best = TableSpec::Best::kPerColumn;
  std::vector<std::string> compare, methods;
  std::map<std::string, std::string> labels;
  bool published = false;

  template <class V>
  void Fields(V&& field) {
    field("title", title, "of this table; the experiment's unless given", NonEmpty{});
    field("rows", rows, "what tells rows apart", NonEmpty{});
    field("columns", columns, "what tells columns apart");
    field("cell", cell, "metric of each place, or a list of metrics", Required{}, NonEmpty{});
    field("extra", extra, "further metrics, as columns of their own");
    field("best", best, "whether the best value of a column is marked");
    field("compare", compare, "row keys among which the best is sought");
    field("methods", methods, "labels of the methods shown; all of them otherwise", NonEmpty{});
    field("labels", labels, "printed instead of keys and their values");
    field("published", published, "a second table with published values beside ours");
  }
  void Validate(const Node& at, Problems& problems) const;
};

// One entry stands for a list of one; an entry may stand for several columns.
template <>
struct FieldType<std::vector<ValueColumn>> {
  static void Read(const Node& node, std::vector<ValueColumn>& value, Problems& problems);
  static std::string Canonical(const std::vector<ValueColumn>& value);
  static std::string TypeName() { return "metric or list of metrics"; }
};

// The keys of a cell of an experiment.
const std::vector<std::string>& MeasurementKeys();

// `title` is used where the table has none of its own.
TableSpec TableSpecOf(const ExperimentTable& table, const std::string& title);

}  // namespace condense
