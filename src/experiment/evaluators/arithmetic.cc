// Sizes that follow from the shapes of a model, without running it: multiplications, and bytes of
// keys and values (protocols.md 5.6, 5.7). Parameters and bytes on disk come with every cell.
#include <fmt/format.h>

#include "base/error.h"
#include "experiment/inputs/config_name.h"
#include "experiment/run/workbench.h"
#include "experiment/stages/evaluator.h"

namespace condense {
namespace {

const Metric& Size(const char* name, const char* unit, const char* label) {
  return RegisterMetric({.name = name,
                         .unit = unit,
                         .format = {NumberFormat::Style::kInteger, 0},
                         .better = Better::kLower,
                         .label = label});
}
const Metric& kMacs = Size("macs", "count", "multiplications");
const Metric& kCacheBytes = Size("kv_bytes_per_token", "bytes", "keys and values per token");

class ArithmeticEvaluator final : public Evaluator {
 public:
  struct Params {
    std::vector<int64_t> positions;

    template <class V>
    void Fields(V&& field) {
      field("positions", positions,
            "tokens of the forward pass whose multiply-accumulates are counted", Required{},
            NonEmpty{}, Range(1, 1 << 20));
    }
    void Validate(const Node& at, Problems& problems) const {
      RefuseRepeated(
          at, "positions", positions, [](int64_t n) { return std::to_string(n); }, problems);
    }
  };
  explicit ArithmeticEvaluator(Params params) : params_(std::move(params)) {}

  std::vector<EvaluationStage> Stages() const override {
    std::vector<EvaluationStage> stages;
    for (const int64_t n : params_.positions) stages.push_back({ProtocolOf(n), ""});
    return stages;
  }
  std::string ProtocolParams(const EvaluationStage& stage) const override {
    return fmt::format(R"({{"batch":1,"definitions":"protocols.md 5.7","positions":{}}})",
                       PositionsOf(stage));
  }
  std::optional<Input> Inputs(const EvaluationStage& stage, InputResolver&) const override {
    return Input{.name = stage.protocol, .canonical = ProtocolParams(stage), .records = {}};
  }
  StageResult Run(const EvaluationStage& stage, EvaluationSubject& subject) const override {
    const ModelConfig& config = subject.source.config();
    const int64_t positions = PositionsOf(stage);
    const auto element_bytes = static_cast<int64_t>(at::elementSize(subject.source.dtype()));
    StageResult result;
    const auto add = [&](const Metric& metric, int64_t value) {
      result.metrics.push_back(RecordOf(metric, static_cast<double>(value), stage.protocol));
      result.metrics.back().count = positions;
    };
    add(kMacs, CountMacs(config, positions));
    add(kCacheBytes, KvBytesPerToken(config, element_bytes));
    return result;
  }

 private:
  static std::string ProtocolOf(int64_t positions) { return fmt::format("macs-{}", positions); }
  int64_t PositionsOf(const EvaluationStage& stage) const {
    for (const int64_t n : params_.positions) {
      if (ProtocolOf(n) == stage.protocol) return n;
    }
    CONDENSE_CHECK(false, "no pass is called {}", stage.protocol);
    return 0;
  }

  Params params_;
};

CONDENSE_REGISTER(
    Evaluator, ArithmeticEvaluator, "arithmetic", /*version=*/1,
    "Multiply-accumulates of a pass and bytes of the key/value cache, from the shapes alone.");

}  // namespace
}  // namespace condense
