// What an experiment measures of each cell. An evaluator is one file in evaluators/: it registers
// under the key that experiments give it,
//
//   perplexity: [bundled-256]
//   zero_shot: {tasks: [arc_easy, piqa], protocols: [lmeval-bos]}
//
// lists its settings with Fields, and says which stages it has. A stage is stored, resumed and added
// on its own. A plain value or list sets the first setting.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "compression/compress.h"
#include "config/registry.h"
#include "experiment/inputs/inputs.h"
#include "model/model_config.h"
#include "model/model_source.h"
#include "results/results_store.h"
#include "tokenizer/tokenizer.h"

namespace condense {

class Workbench;

struct EvaluationStage {
  std::string protocol;  // id under which its numbers are stored
  std::string task;      // part of a protocol that is a stage of its own; may be empty
  std::string Name() const { return task.empty() ? protocol : protocol + " " + task; }
};

// What an interrupted attempt at a stage has finished, and where to store finished parts.
struct StageParts {
  std::vector<std::vector<SampleRecord>> earlier;
  std::function<void(const std::vector<SampleRecord>&)> keep;
};

// The model to be measured and what surrounds it.
struct EvaluationSubject {
  Workbench& bench;
  size_t model = 0;  // in the experiment's list
  const ModelSource& source;
  StageParts parts;
  // Compresses the cell's model once more from a cold start: the files are opened, the calibration
  // set is sampled and no statistics are cached. The phases are those of Compress(), "load" and
  // "calibrate"; their peaks are memory beyond what the process held before. The model is deleted.
  std::function<CompressionResult()> compress_again;
};

class Evaluator {
 public:
  static constexpr const char* kKind = "evaluation";
  virtual ~Evaluator() = default;

  virtual std::vector<EvaluationStage> Stages() const = 0;
  // JSON that is frozen with the protocol's id.
  virtual std::string ProtocolParams(const EvaluationStage& stage) const = 0;
  // All inputs beside the model, by digest; null when one is missing.
  virtual std::optional<Input> Inputs(const EvaluationStage& stage,
                                      InputResolver& inputs) const = 0;
  // Whether dense models are measured too.
  virtual bool ForDense() const { return true; }
  // The perplexity protocol whose text is scored, which calibration text must not share; or "".
  virtual std::string ScoredText(const EvaluationStage&) const { return ""; }
  // Why a model cannot be measured, as a sentence; or "".
  virtual std::string Objection(const EvaluationStage&, const ModelConfig&) const { return ""; }
  virtual StageResult Run(const EvaluationStage& stage, EvaluationSubject& subject) const = 0;
};

// Names in the order of the files' keys.
std::vector<std::string> EvaluatorKeys();
// The evaluators that the keys of an experiment ask for, in the order of the keys.
std::vector<Component<Evaluator>> ReadEvaluators(const Node& root, Problems& problems);

}  // namespace condense
