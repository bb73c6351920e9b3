#include "experiment/run/cell_work.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "base/system.h"
#include "compression/compress.h"
#include "data/overlap.h"
#include "experiment/run/cell_records.h"

namespace condense {
namespace fs = std::filesystem;

namespace {

// Tables, figures and statistics ask the catalogue, so what it lacks could be stored but not shown.
void RequireRegistered(const std::vector<MetricRecord>& metrics) {
  for (const MetricRecord& metric : metrics) {
    const auto known = FindMetric(metric.metric);
    CONDENSE_CHECK(known && known->unit == metric.unit,
                   "metric '{}' with unit '{}' is not in the catalogue: register it in the file "
                   "that stores it (stats/metric.h)",
                   metric.metric, metric.unit);
  }
}

}  // namespace

StageResult CellWork::Run(const PlannedStage& stage, StageParts parts) {
  ResetPeakResident();
  const Stopwatch watch;
  StageResult result =
      std::visit([&](const auto& work) { return Do(work, std::move(parts)); }, stage.work);
  RequireRegistered(result.metrics);
  result.seconds = watch.Seconds();
  // A stage that resets the peak between its phases says what it was.
  result.peak_rss_bytes =
      std::max(result.peak_rss_bytes.value_or(0), static_cast<int64_t>(PeakResidentBytes()));
  return result;
}

void CellWork::Note(const PlannedStage& stage, StageRecord done) {
  if (const auto* work = std::get_if<ModelWork>(&stage.work)) {
    models_.at(work->step).noted = std::move(done);
  }
}

CalibrationBench& CellWork::Calibration(bool scores) {
  const CellSetting& setting = cell_.setting;
  if (!setting.calibration) return bench_.WithoutCalibration(setting.model);
  const std::string& name = scores && spec_.score_calibration
                                ? spec_.score_calibration->name
                                : spec_.calibration[*setting.calibration].name;
  return bench_.Calibration(setting.model, name, setting.seed);
}

StageResult CellWork::Do(const CalibrationWork&, StageParts) {
  return CalibrationResult(Calibration(/*scores=*/false).set);
}

CheckpointSink CellWork::SinkFor(size_t step, const StoredModel& before,
                                 const fs::path& folder) const {
  const PlannedModel& model = cell_.models.at(step);
  return before.SinkTo(folder,
                       {.dtype = spec_.storage,
                        .provenance_json = fmt::format(R"({{"fingerprint":"{}","cell":{}}})",
                                                       model.fingerprint, model.canonical)});
}

CompressionResult CellWork::CompressWith(StatisticsStore& statistics, StatisticsStore& scores,
                                         const StoredModel& dense, const fs::path& folder) {
  const CellSetting& setting = cell_.setting;
  CheckpointSink sink = SinkFor(0, dense, folder);
  return Compress(
      spec_.methods[setting.method].Request(setting.ratio.value_or(0), setting.seed.value_or(0)),
      statistics, scores, sink);
}

StageResult CellWork::Transformed(size_t step, const StoredModel& before, const fs::path& folder) {
  const Component<Transform>& transform = transforms_.at(step - 1);
  CheckpointSink sink = SinkFor(step, before, folder);
  TransformSubject subject{.bench = bench_,
                           .model = cell_.setting.model,
                           .seed = cell_.setting.seed,
                           .source = before.source(),
                           .sink = sink};
  const Stopwatch watch;
  StageResult result = transform->Run(subject);
  for (MetricRecord& metric : result.metrics) {
    if (metric.protocol.empty()) metric.protocol = transform.name;
  }
  result.metrics.push_back(SecondsOf(transform.name, watch.Seconds()));
  return result;
}

CompressionResult CellWork::CompressAgain() {
  const CellSetting& setting = cell_.setting;
  bench_.TokenizerOf(setting.model);  // calibration sets are sampled with it; it is loaded once
  // What this process holds for other cells is no part of the memory that this one takes.
  ::malloc_trim(0);
  const uint64_t held = CurrentResidentBytes();
  PhaseClock clock("load");
  const StoredModel model = bench_.OpenAgain(setting.model);
  const auto draw = [&](const std::string& name) {
    const PhaseClock::Scope phase(&clock, "calibrate");
    return setting.calibration ? bench_.Draw(setting.model, name, setting.seed) : NoCalibration();
  };
  const std::string own = setting.calibration ? spec_.calibration[*setting.calibration].name : "";
  const CalibrationSet set = draw(own);
  const std::string folder = (results_ / cell_.models.front().Artefact()).string() + "-again";
  StatisticsStore statistics(model.source(), set,
                             {.scratch = folder + ".statistics", .gram_math = spec_.gram_math});
  std::optional<CalibrationSet> score_set;
  std::optional<StatisticsStore> scores;
  if (setting.calibration && spec_.score_calibration && spec_.score_calibration->name != own) {
    score_set.emplace(draw(spec_.score_calibration->name));
    scores.emplace(model.source(), *score_set,
                   StatisticsStore::Options{.gram_math = spec_.gram_math});
  }
  const std::map<std::string, PhaseUse> before = clock.Uses();
  CompressionResult result = CompressWith(statistics, scores ? *scores : statistics, model, folder);
  for (const auto& [phase, use] : before) {
    result.phases[phase] = use;
    result.seconds += use.seconds;
  }
  for (auto& [phase, use] : result.phases) use.peak_bytes -= std::min(use.peak_bytes, held);
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  return result;
}

StageResult CellWork::Make(size_t step) {
  const fs::path folder = results_ / cell_.models.at(step).Artefact();
  StageResult result;
  if (step > 0) {
    result = Transformed(step, ModelAfter(step - 1), folder);
    models_[step - 1].opened.reset();  // nothing but the last model is measured
  } else {
    const CompressionResult compressed = CompressWith(Calibration(/*scores=*/false).statistics,
                                                      Calibration(/*scores=*/true).statistics,
                                                      bench_.Model(cell_.setting.model), folder);
    result = CompressedResult(compressed, cell_.setting.ratio.value_or(0),
                              spec_.methods[cell_.setting.method].match);
    result.peak_rss_bytes = static_cast<int64_t>(PeakBytesOf(compressed.phases));
  }
  models_[step].opened.emplace(folder, bench_.load());
  return result;
}

StageResult CellWork::Do(const ModelWork& work, StageParts) {
  const size_t step = work.step;
  if (IsDense(step)) return DenseResult(bench_.Model(cell_.setting.model));
  for (const PlannedStage& stage : cell_.stages) {
    const auto* evaluation = std::get_if<EvaluationWork>(&stage.work);
    if (evaluation == nullptr) continue;
    RequireNoSharedText(spec_.evaluators[evaluation->evaluator]->ScoredText(evaluation->stage));
  }
  StageResult result = Make(step);
  const StoredModel& made = *models_[step].opened;
  if (step == 0) {
    AddBytes(made, result);
  } else {
    const StageResult counted = TransformedResult(made, cell_.setting.ratio.value_or(0),
                                                  spec_.methods[cell_.setting.method].match);
    result.metrics.insert(result.metrics.end(), counted.metrics.begin(), counted.metrics.end());
  }
  result.artefact = cell_.models[step].Artefact();
  result.artefact_sha256 = made.digest();
  return result;
}

void CellWork::OpenNoted(MadeModel& model) {
  const std::optional<StageRecord>& noted = model.noted;
  if (!noted || noted->artefact.empty()) return;
  try {
    model.opened.emplace(results_ / noted->artefact, bench_.load());
    if (model.opened->digest() == noted->artefact_sha256) return;
    LogInfo("{}: differs from the model that was stored; computing it again", noted->artefact);
  } catch (const DataError& error) {
    LogDebug("{}; computing it again", error.what());
  }
  model.opened.reset();
}

const StoredModel& CellWork::ModelAfter(size_t step) {
  if (IsDense(step)) return bench_.Model(cell_.setting.model);
  MadeModel& model = models_.at(step);
  if (!model.opened) OpenNoted(model);
  if (!model.opened) Make(step);
  return *model.opened;
}

StageResult CellWork::Do(const EvaluationWork& work, StageParts parts) {
  const Evaluator& evaluator = *spec_.evaluators[work.evaluator];
  RequireNoSharedText(evaluator.ScoredText(work.stage));
  EvaluationSubject subject{bench_, cell_.setting.model, ModelAfter(models_.size() - 1).source(),
                            std::move(parts), [this] { return CompressAgain(); }};
  return evaluator.Run(work.stage, subject);
}

void CellWork::RequireNoSharedText(const std::string& protocol) {
  if (protocol.empty() || !cell_.setting.calibration || spec_.allow_overlap) return;
  const ProtocolText& text = bench_.Text(cell_.setting.model, protocol);
  for (const bool scores : {false, true}) {
    CalibrationBench& bench = Calibration(scores);
    if (bench.set.corpus != CorpusOf(text) || !bench.compared.insert(protocol).second) continue;
    try {
      RequireNoOverlap(bench.set, IdsOf(text), protocol);
    } catch (const DataError&) {
      bench.compared.erase(protocol);
      throw;
    }
  }
}

void CellWork::Discard(const std::function<bool(const PlannedModel&)>& needed) {
  if (spec_.artefacts == ArtefactPolicy::kKeep) return;
  for (size_t step = 0; step < models_.size(); ++step) {
    if (IsDense(step) || needed(cell_.models[step])) continue;
    models_[step].opened.reset();
    std::error_code ignored;
    fs::remove_all(results_ / cell_.models[step].Artefact(), ignored);
  }
}

}  // namespace condense
