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

StageResult CellWork::Run(const PlannedStage& stage, StageParts parts) {
  ResetPeakResident();
  const Stopwatch watch;
  StageResult result = stage.kind == StageKind::kCalibrate  ? Calibrate()
                       : stage.kind == StageKind::kCompress ? CompressModel()
                                                            : Evaluate(stage, std::move(parts));
  result.seconds = watch.Seconds();
  // A stage that resets the peak between its phases says what it was.
  result.peak_rss_bytes =
      std::max(result.peak_rss_bytes.value_or(0), static_cast<int64_t>(PeakResidentBytes()));
  return result;
}

CalibrationBench& CellWork::Calibration(bool scores) {
  const CellSetting& setting = cell_.setting;
  if (!setting.calibration) return bench_.WithoutCalibration(setting.model);
  const std::string& name = scores && spec_.score_calibration
                                ? spec_.score_calibration->name
                                : spec_.calibration[*setting.calibration].name;
  return bench_.Calibration(setting.model, name, setting.seed);
}

StageResult CellWork::Calibrate() { return CalibrationResult(Calibration(/*scores=*/false).set); }

fs::path CellWork::ArtefactName() const {
  return fs::path("artefacts") / cell_.fingerprint.substr(0, 16);
}

CompressionResult CellWork::CompressInto(const fs::path& folder) {
  return CompressWith(Calibration(/*scores=*/false).statistics,
                      Calibration(/*scores=*/true).statistics,
                      bench_.Model(cell_.setting.model).checkpoint(), folder);
}

CompressionResult CellWork::CompressWith(StatisticsStore& statistics, StatisticsStore& scores,
                                         const CheckpointModel& dense, const fs::path& folder) {
  const MethodSpec& method = spec_.methods[cell_.setting.method];
  const CompressionRequest request{.method = *method.method,
                                   .allocator = method.allocator.object.get(),
                                   .ratio = cell_.setting.ratio.value_or(0),
                                   .match = method.match,
                                   .seed = cell_.setting.seed.value_or(0)};
  CheckpointSink sink(dense, folder,
                      {.dtype = spec_.storage,
                       .provenance_json = fmt::format(R"({{"fingerprint":"{}","cell":{}}})",
                                                      cell_.fingerprint, cell_.canonical)});
  return Compress(request, statistics, scores, sink);
}

CompressionResult CellWork::CompressAgain() {
  const CellSetting& setting = cell_.setting;
  bench_.TokenizerOf(setting.model);  // calibration sets are drawn with it; it is loaded once
  // What this process has kept of other cells is no part of the memory that this one takes.
  ::malloc_trim(0);
  const uint64_t held = CurrentResidentBytes();
  PhaseClock clock("load");
  const OpenedModel model = bench_.OpenAgain(setting.model);
  const auto draw = [&](const std::string& name) {
    const PhaseClock::Scope phase(&clock, "calibrate");
    return setting.calibration ? bench_.Draw(setting.model, name, setting.seed) : NoCalibration();
  };
  const std::string own = setting.calibration ? spec_.calibration[*setting.calibration].name : "";
  const CalibrationSet set = draw(own);
  StatisticsStore statistics(model.source(), set, {});
  std::optional<CalibrationSet> score_set;
  std::optional<StatisticsStore> scores;
  if (setting.calibration && spec_.score_calibration && spec_.score_calibration->name != own) {
    score_set.emplace(draw(spec_.score_calibration->name));
    scores.emplace(model.source(), *score_set, StatisticsStore::Options{});
  }
  const std::map<std::string, PhaseUse> before = clock.Uses();
  const fs::path folder = (results_ / ArtefactName()).string() + "-again";
  CompressionResult result =
      CompressWith(statistics, scores ? *scores : statistics, model.checkpoint(), folder);
  for (const auto& [phase, use] : before) {
    result.phases[phase] = use;
    result.seconds += use.seconds;
  }
  for (auto& [phase, use] : result.phases) use.peak_bytes -= std::min(use.peak_bytes, held);
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  return result;
}

StageResult CellWork::CompressModel() {
  if (cell_.setting.RemovesNothing())
    return DenseResult(bench_.Model(cell_.setting.model).checkpoint());
  for (const PlannedStage& stage : cell_.stages) {
    if (stage.kind != StageKind::kEvaluate) continue;
    RequireNoSharedText(spec_.evaluators[stage.evaluator]->ScoredText(stage.evaluation));
  }
  const fs::path name = ArtefactName();
  const CompressionResult compressed = CompressInto(results_ / name);
  compressed_.emplace(results_ / name, bench_.load());
  StageResult result = CompressedResult(compressed, cell_.setting.ratio.value_or(0),
                                        spec_.methods[cell_.setting.method].match);
  AddBytes(compressed_->checkpoint(), result);
  result.peak_rss_bytes = static_cast<int64_t>(PeakBytesOf(compressed.phases));
  result.artefact = name.string();
  result.artefact_sha256 = compressed_->checkpoint().digest();
  return result;
}

void CellWork::OpenNoted() {
  if (!noted_ || noted_->artefact.empty()) return;
  try {
    compressed_.emplace(results_ / noted_->artefact, bench_.load());
    if (compressed_->checkpoint().digest() == noted_->artefact_sha256) return;
    LogInfo("{}: is not the model that was stored; compressing again", noted_->artefact);
  } catch (const DataError& error) {
    LogDebug("{}; compressing again", error.what());
  }
  compressed_.reset();
}

OpenedModel& CellWork::Compressed() {
  if (!compressed_) OpenNoted();
  if (!compressed_) {
    CompressInto(results_ / ArtefactName());
    compressed_.emplace(results_ / ArtefactName(), bench_.load());
  }
  return *compressed_;
}

StageResult CellWork::Evaluate(const PlannedStage& stage, StageParts parts) {
  const Evaluator& evaluator = *spec_.evaluators[stage.evaluator];
  RequireNoSharedText(evaluator.ScoredText(stage.evaluation));
  const size_t model = cell_.setting.model;
  const ModelSource& source =
      cell_.setting.RemovesNothing() ? bench_.Model(model).source() : Compressed().source();
  EvaluationSubject subject{bench_, model, source, std::move(parts),
                            [this] { return CompressAgain(); }};
  return evaluator.Run(stage.evaluation, subject);
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

void CellWork::Discard() {
  if (spec_.artefacts == ArtefactPolicy::kKeep || cell_.setting.RemovesNothing()) return;
  compressed_.reset();
  std::error_code ignored;
  fs::remove_all(results_ / ArtefactName(), ignored);
}

}  // namespace condense
