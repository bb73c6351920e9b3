// What a compression costs that finds nothing prepared (protocols.md 5.8). Cells share calibration
// sets and statistics, so the seconds of a cell that was made in a sweep say little: here the model
// is compressed once more, alone, and what comes out is thrown away.
#include "experiment/run/cell_records.h"
#include "experiment/stages/evaluator.h"

namespace condense {
namespace {

enum class Start { kCold };

}  // namespace

template <>
struct EnumNames<Start> {
  static constexpr std::array names{std::pair{Start::kCold, "cold"}};
};

namespace {

const Metric& PeakBytes(const char* name, const char* label) {
  return RegisterMetric({.name = name,
                         .unit = "bytes",
                         .format = {NumberFormat::Style::kBytes, 2},
                         .better = Better::kLower,
                         .label = label});
}
const Metric& kPeakBytes = PeakBytes("peak_bytes", "peak memory");
[[maybe_unused]] const Metric& kPhasePeakBytes = PeakBytes("*-peak_bytes", "* peak memory");

class CostEvaluator final : public Evaluator {
 public:
  struct Params {
    Start start = Start::kCold;

    template <class V>
    void Fields(V&& field) {
      field("start", start, "state before the compression: cold, nothing is prepared", Required{});
    }
  };
  explicit CostEvaluator(const Params&) {}

  std::vector<EvaluationStage> Stages() const override { return {{"cost-cold", ""}}; }
  std::string ProtocolParams(const EvaluationStage&) const override {
    return R"({"definitions":"protocols.md 5.8","memory":"peak resident set less that before"})";
  }
  std::optional<Input> Inputs(const EvaluationStage& stage, InputResolver&) const override {
    return Input{.name = stage.protocol, .canonical = ProtocolParams(stage), .records = {}};
  }
  bool ForDense() const override { return false; }
  StageResult Run(const EvaluationStage& stage, EvaluationSubject& subject) const override {
    return RecordsOf(stage.protocol, subject.compress_again());
  }

 private:
  // The time and the largest memory of each phase and of the whole, and the time of each module
  // within the phase "solve".
  static StageResult RecordsOf(const std::string& protocol, const CompressionResult& compressed) {
    StageResult result;
    const auto add_seconds = [&](const std::string& phase, double seconds) {
      result.metrics.push_back(SecondsOf(phase, seconds, protocol));
    };
    const auto add_bytes = [&](const Metric& metric, uint64_t bytes) {
      if (bytes == 0) return;
      result.metrics.push_back(RecordOf(metric, static_cast<double>(bytes), protocol));
    };
    add_seconds("total", compressed.seconds);
    for (const auto& [phase, use] : compressed.phases) {
      add_seconds(phase, use.seconds);
      add_bytes(FindMetric(phase + "-peak_bytes").value(), use.peak_bytes);
    }
    std::map<std::string, double> modules;
    for (const LayerReport& layer : compressed.report.layers) {
      for (const auto& [module, part] : layer.modules) modules[module] += part.seconds;
    }
    for (const auto& [module, seconds] : modules) add_seconds("solve-" + module, seconds);
    add_bytes(kPeakBytes, PeakBytesOf(compressed.phases));
    return result;
  }
};

CONDENSE_REGISTER(Evaluator, CostEvaluator, "cost", /*version=*/1,
                  "Time and memory of a compression from a cold start, by phase.");

}  // namespace
}  // namespace condense
