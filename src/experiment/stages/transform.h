// What is done to a model between its compression and its evaluation: recovery by fine-tuning,
// folding of layers, rounding of weights. A transform is one file in transforms/: it registers
// under the key that experiments give it,
//
//   recover: {rank: 8, steps: 400}                  # every compressed model is recovered
//   recover: [none, {rank: 8}, {rank: 32}]          # cells without it and with each setting
//   methods: [{use: slicegpt, recover: {rank: 8}}]  # for one method, instead of the above
//
// lists its options with Fields, and writes a new model. A plain value sets the first option;
// `label` names a setting in tables, where the key of the transform can be a row or a column.
// Transforms are applied in the order of the experiment's keys. Each is a stage of its own: stored,
// resumed, and shared by the cells that begin alike.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/registry.h"
#include "experiment/inputs/inputs.h"
#include "model/model_source.h"
#include "results/results_store.h"

namespace condense {

class Workbench;

// The model so far, and where the new one goes.
struct TransformSubject {
  Workbench& bench;
  size_t model = 0;              // the dense model, in the experiment's list
  std::optional<uint64_t> seed;  // of the cell
  const ModelSource& source;
  ModelSink& sink;
};

class Transform {
 public:
  static constexpr const char* kKind = "transform";
  virtual ~Transform() = default;

  // Whether a model from which nothing was removed is transformed too.
  virtual bool ForDense() const { return false; }
  // All inputs beside the model, by digest; null when one is missing.
  virtual std::optional<Input> Inputs(InputResolver&) const { return Input{}; }
  // Puts every part of the new model into the sink and finishes it. Metrics returned without a
  // protocol are stored under the transform's name; parameters, bytes and seconds are added by the
  // caller.
  virtual StageResult Run(TransformSubject& subject) const = 0;
};

// One setting of a transform.
struct TransformValue {
  std::string text;                // in tables and in names of cells
  Component<Transform> transform;  // empty for `none`
};

// A key of an experiment, and its settings.
struct TransformAxis {
  std::string name;
  std::vector<TransformValue> values;
};

std::vector<std::string> TransformKeys();
// The transforms that the keys of a map ask for, in the order of the keys.
std::vector<TransformAxis> ReadTransforms(const Node& root, Problems& problems);

}  // namespace condense
