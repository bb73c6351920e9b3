#include "experiment/run/workbench.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/system.h"
#include "experiment/inputs/model_tokenizer.h"
#include "model/parameters.h"

namespace condense {
namespace fs = std::filesystem;

CalibrationSet NoCalibration() {
  CalibrationSet set;
  set.id = set.hash = "none";
  set.sequences = {{0}};
  return set;
}

struct Workbench::Held {
  size_t index = 0;
  std::optional<StoredModel> model;
  std::unique_ptr<Tokenizer> tokenizer;
  std::map<std::string, ProtocolText> texts;
  std::map<std::string, std::shared_ptr<const AgreementReference>> references;
  std::map<std::string, std::unique_ptr<CalibrationBench>> calibrations;
};

const fs::path& Workbench::Folder(size_t model) {
  const ModelPlace& place = inputs_.Place(spec_.models[model]);
  CONDENSE_CHECK(place.folder.has_value(), "model {} was not found", place.name);
  return *place.folder;
}

Workbench::Held& Workbench::Hold(size_t model) {
  if (held_ == nullptr || held_->index != model) {
    held_.reset();  // frees the other model before this one is opened
    held_ = std::make_shared<Held>();
    held_->index = model;
  }
  return *held_;
}

StoredModel& Workbench::Model(size_t model) {
  Held& held = Hold(model);
  if (!held.model) {
    const InferenceScope inference;
    held.model.emplace(Folder(model), options_.load);
  }
  return *held.model;
}

const Tokenizer& Workbench::TokenizerOf(size_t model) {
  Held& held = Hold(model);
  if (held.tokenizer == nullptr) held.tokenizer = LoadModelTokenizer(Folder(model));
  return *held.tokenizer;
}

const ProtocolText& Workbench::Text(size_t model, const std::string& protocol) {
  Held& held = Hold(model);
  const auto found = held.texts.find(protocol);
  if (found != held.texts.end()) return found->second;
  ProtocolText text =
      LoadProtocolText(LoadPerplexityProtocol(protocol), TokenizerOf(model), inputs_.roots().data);
  return held.texts.emplace(protocol, std::move(text)).first->second;
}

std::shared_ptr<const AgreementReference> Workbench::Reference(size_t model,
                                                               const std::string& protocol,
                                                               const AgreementOptions& options) {
  const std::string key = fmt::format("{}@{}", protocol, options.first_windows.value_or(0));
  const auto found = Hold(model).references.find(key);
  if (found != Hold(model).references.end()) return found->second;
  const InferenceScope inference;
  const auto reference = std::make_shared<AgreementReference>(
      Model(model).source(), std::get<EvaluationText>(Text(model, protocol)), options);
  if (reference->Bytes() <= MemoryBytes() / 32) {
    reference->Keep();
    Hold(model).references.emplace(key, reference);
  }
  return reference;
}

CalibrationBench& Workbench::Calibration(size_t model, const std::string& name,
                                         std::optional<uint64_t> seed) {
  const std::string key = seed ? fmt::format("{}#{}", name, *seed) : name;
  auto& bench = Hold(model).calibrations[key];
  if (bench == nullptr) {
    bench = std::make_unique<CalibrationBench>(
        Model(model).source(), Draw(model, name, seed),
        StatisticsStore::Options{.folder = options_.statistics_folder,
                                 .gram_math = spec_.gram_math});
    // One pass for what all methods of the experiment ask for.
    for (const MethodSpec& method : spec_.methods) {
      bench->statistics.Announce(method.method->DenseRequests(Model(model).config()));
    }
  }
  return *bench;
}

CalibrationBench& Workbench::WithoutCalibration(size_t model) {
  auto& bench = Hold(model).calibrations[""];
  if (bench == nullptr) {
    bench = std::make_unique<CalibrationBench>(Model(model).source(), NoCalibration(),
                                               StatisticsStore::Options{});
  }
  return *bench;
}

const TaskSet& Workbench::Task(const std::string& name, std::optional<int64_t> limit) {
  const std::string key = limit ? fmt::format("{}@{}", name, *limit) : name;
  const auto found = tasks_.find(key);
  if (found != tasks_.end()) return found->second;
  TaskSet task = LoadTask(name, inputs_.roots().data, {.limit = limit});
  return tasks_.emplace(key, std::move(task)).first->second;
}

void Workbench::Check(size_t model) {
  const ModelPlace& place = inputs_.Place(spec_.models[model]);
  const StoredModel stored(Folder(model), options_.load, Residence::kStreamed);
  const ModelConfig& config = stored.config();
  if (!place.family.empty() && config.family != place.family) {
    throw MakeError<DataError>(
        "{}: is a model of family '{}', but configs/models/{}.yaml says '{}'",
        place.folder->string(), config.family, place.name, place.family);
  }
  const int64_t parameters = CountParameters(config).Total();
  if (place.parameters && parameters != *place.parameters) {
    throw MakeError<DataError>(
        "{}: holds {} parameters, but configs/models/{}.yaml says {}; is it another model?",
        place.folder->string(), parameters, place.name, *place.parameters);
  }
  for (const Component<Evaluator>& evaluator : spec_.evaluators) {
    for (const EvaluationStage& stage : evaluator->Stages()) {
      const std::string objection = evaluator->Objection(stage, config);
      if (objection.empty()) continue;
      throw MakeError<ConfigError>("{}: {}: {}", evaluator.where.Text(), place.name, objection);
    }
  }
  LoadModelTokenizer(stored.tokenizer());
}

}  // namespace condense
