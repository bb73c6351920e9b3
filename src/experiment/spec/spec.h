// An experiment file: what is compared, and how the tables and the figure look.
//
//   title: WikiText-2 perplexity by method and ratio
//   profiles:    # what differs between a laptop and the paper; merged over the rest
//     bundled: {models: [llama2-mini], calibration: [bundled-128x256], perplexity: [bundled-256]}
//     paper: {models: [llama-2-7b], calibration: [wikitext2-128x2048], perplexity: [wikitext2-4096]}
//   methods: [dense, {use: slicegpt, match: block}]
//   ratios: [0.1, 0.2]
//   table: {rows: [model, method], columns: [ratio], cell: perplexity}
//   figure: {x: block-params, y: perplexity, y_axis: {scale: log}}   # beside the table, or instead
//   more_tables: {seconds: {title: Seconds, cell: compress-seconds}}  # of the same cells
//
// The names of evaluators are keys that say what is measured: perplexity, zero_shot, agreement, ...
// (evaluator.h). The names of transforms are keys that change the compressed models before that
// (transform.h). Reading reports every problem of the file at once, and reads nothing but
// configuration files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/fields.h"
#include "experiment/inputs/config_name.h"
#include "experiment/inputs/model_place.h"
#include "experiment/spec/figure_yaml.h"
#include "experiment/spec/method_spec.h"
#include "experiment/spec/table_yaml.h"
#include "experiment/stages/evaluator.h"
#include "experiment/stages/transform.h"
#include "tensor/gram_sum.h"

namespace condense {

template <>
struct EnumNames<DType> {
  static constexpr std::array names{std::pair{kF32, "float32"}, std::pair{kBF16, "bfloat16"},
                                    std::pair{kF16, "float16"}, std::pair{kF64, "float64"}};
};

template <>
struct EnumNames<GramMath> {
  static constexpr std::array names{std::pair{GramMath::kFloat32, "float32"},
                                    std::pair{GramMath::kFloat64, "float64"}};
};

enum class ArtefactPolicy { kKeep, kDiscard };
template <>
struct EnumNames<ArtefactPolicy> {
  static constexpr std::array names{std::pair{ArtefactPolicy::kKeep, "keep"},
                                    std::pair{ArtefactPolicy::kDiscard, "discard"}};
};

struct ExperimentSpec {
  std::string title, description;
  std::vector<ModelRef> models;
  std::vector<Node> method_entries, ablation_entries;
  std::vector<double> ratios;
  std::vector<ConfigName<CalibrationKind>> calibration;
  std::optional<ConfigName<CalibrationKind>> score_calibration;
  std::vector<uint64_t> seeds;  // empty: each calibration set's own
  DType dtype = kF32;
  GramMath gram_math = GramMath::kFloat32;
  std::optional<DType> storage;
  ArtefactPolicy artefacts = ArtefactPolicy::kKeep;
  bool allow_overlap = false;
  ExperimentTable table_entry;
  std::map<std::string, ExperimentTable> more_tables;
  std::optional<ExperimentFigure> figure_entry;

  template <class V>
  void Fields(V&& field) {
    field("title", title, "heading of the table and the figure", Required{}, NonEmpty{});
    field("description", description, "one sentence: which published table it regenerates",
          NonEmpty{});
    field("models", models, "checkpoints", Required{}, NonEmpty{});
    field("methods", method_entries, "methods: a name, or {use: NAME, OPTION: VALUE}", Required{},
          NonEmpty{});
    field("ablations", ablation_entries, "changed options of methods, as rows of their own");
    field("ratios", ratios, "fractions to remove", Range(0, 1).OpenAbove());
    field("calibration", calibration, "calibration sets");
    field("score_calibration", score_calibration,
          "calibration set on which layers are scored; the cell's own unless given");
    field("seeds", seeds, "seeds that replace those of the calibration sets");
    field("dtype", dtype, "number type of the computation");
    field("gram_math", gram_math,
          "products of activations: float32 in tiles that are added up in float64, or float64 "
          "throughout, at twice the time");
    field("storage", storage,
          "number type of compressed models on disk; that of the computation unless given");
    field("artefacts", artefacts, "whether compressed models stay on disk after their evaluation");
    field("allow_overlap", allow_overlap,
          "accept calibration text that overlaps with evaluated text");
    field("table", table_entry, "rows, columns and cell of the table");
    field("more_tables", more_tables, "further tables of the same cells, by name");
    field("figure", figure_entry,
          "axes, lines and panels of the figure; needed where there is no table");
  }

  // --- Not keys of the file ---
  std::string name;     // the file's, without .yaml
  std::string profile;  // empty if the file has no profiles
  std::filesystem::path file;
  bool overridden = false;  // by --set
  std::vector<MethodSpec> methods;
  std::vector<TransformAxis> transforms;  // those of methods alone are `none` for the others
  std::vector<Component<Evaluator>> evaluators;
  bool has_table = false;
  TableSpec table;  // if it has one
  std::optional<FigureSpec> figure;
  std::string canonical;  // of the whole tree, as it was used
};

struct SpecSource {
  std::filesystem::path file;
  std::string profile;                 // empty: bundled, or the first one of the file
  std::vector<std::string> overrides;  // KEY=VALUE
};

// ConfigError with every problem, one per line.
ExperimentSpec ReadExperiment(const SpecSource& source);

// The names of the profiles of a file, in its order.
std::vector<std::string> ProfilesOf(const Node& root);

// An experiment named on the command line: a file, or a name in experiments/. ConfigError
// otherwise.
std::filesystem::path FindExperimentFile(const std::string& file_or_name);

}  // namespace condense
