// What the cells of one model share while they are worked on: the opened model, its tokenizer, the
// evaluated texts as ids, and the statistics of each calibration set. One model is held at a time.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "calibration/statistics_store.h"
#include "data/calibration.h"
#include "data/protocols/protocol_text.h"
#include "data/tasks/task.h"
#include "evaluation/agreement.h"
#include "experiment/inputs/inputs.h"
#include "experiment/spec/spec.h"
#include "model/stored/stored_model.h"
#include "tokenizer/tokenizer.h"

namespace condense {

// One calibration set over one model.
struct CalibrationBench {
  CalibrationBench(const ModelSource& model, CalibrationSet drawn, StatisticsStore::Options options)
      : set(std::move(drawn)), statistics(model, set, std::move(options)) {}
  CalibrationSet set;
  StatisticsStore statistics;
  std::set<std::string> compared;  // protocols whose text is known to share nothing with the set
};

// The store for methods that look at no data, which the framework asks for all the same.
CalibrationSet NoCalibration();

class Workbench {
 public:
  struct Options {
    LoadOptions load;
    std::filesystem::path statistics_folder;
  };
  Workbench(const ExperimentSpec& spec, InputResolver& inputs, Options options)
      : spec_(spec), inputs_(inputs), options_(std::move(options)) {}

  const LoadOptions& load() const { return options_.load; }
  // Opens models, tokenizers and window lengths and reports everything that would fail later: the
  // checkpoint is damaged, is another model than its name says, or sees less than a protocol's
  // window.
  void Check(size_t model);

  // A model and a calibration set of their own, for who wants to know what making them costs.
  StoredModel OpenAgain(size_t model) { return StoredModel(Folder(model), options_.load); }
  CalibrationSet Draw(size_t model, const std::string& name, std::optional<uint64_t> seed) {
    return LoadCalibration(name, TokenizerOf(model), inputs_.roots().data, seed);
  }

  // The references below hold until another model is asked for.
  StoredModel& Model(size_t model);
  const Tokenizer& TokenizerOf(size_t model);
  const ProtocolText& Text(size_t model, const std::string& protocol);
  // The dense model on the first windows of a protocol's text, which has windows. Kept for the next
  // cell where that takes little memory.
  std::shared_ptr<const AgreementReference> Reference(size_t model, const std::string& protocol,
                                                      const AgreementOptions& options);
  CalibrationBench& Calibration(size_t model, const std::string& name,
                                std::optional<uint64_t> seed);
  CalibrationBench& WithoutCalibration(size_t model);

  // The same for every model.
  const TaskSet& Task(const std::string& name, std::optional<int64_t> limit);

 private:
  struct Held;
  Held& Hold(size_t model);
  const std::filesystem::path& Folder(size_t model);

  const ExperimentSpec& spec_;
  InputResolver& inputs_;
  Options options_;
  std::shared_ptr<Held> held_;
  std::map<std::string, TaskSet> tasks_;
};

}  // namespace condense
