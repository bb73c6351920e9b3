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

class CostEvaluator final : public Evaluator {
 public:
  struct Params {
    Start start = Start::kCold;

    template <class V>
    void Fields(V&& field) {
      field("start", start, "what is there before: nothing", Required{});
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
    return CostRecords(stage.protocol, subject.compress_again());
  }
};

CONDENSE_REGISTER(Evaluator, CostEvaluator, "cost", /*version=*/1,
                  "Time and memory of a compression that finds nothing prepared, by phase.");

}  // namespace
}  // namespace condense
