// Perplexity by the protocols of configs/protocols.
#include <fmt/format.h>

#include "evaluation/protocol_evaluation.h"
#include "experiment/inputs/config_name.h"
#include "experiment/run/cell_records.h"
#include "experiment/run/workbench.h"
#include "experiment/stages/evaluator.h"

namespace condense {
namespace {

class PerplexityEvaluator final : public Evaluator {
 public:
  struct Params {
    std::vector<ConfigName<ProtocolKind>> protocols;

    template <class V>
    void Fields(V&& field) {
      field("protocols", protocols, "perplexity protocols", Required{}, NonEmpty{});
    }
    void Validate(const Node& at, Problems& problems) const {
      RefuseRepeated(at, "protocols", protocols, problems);
    }
  };
  explicit PerplexityEvaluator(Params params) : params_(std::move(params)) {}

  std::vector<EvaluationStage> Stages() const override {
    std::vector<EvaluationStage> stages;
    for (const auto& protocol : params_.protocols) stages.push_back({protocol.name, ""});
    return stages;
  }
  std::string ProtocolParams(const EvaluationStage& stage) const override {
    return LoadPerplexityProtocol(stage.protocol).params;
  }
  std::optional<Input> Inputs(const EvaluationStage& stage, InputResolver& inputs) const override {
    const Input* text = inputs.Protocol(stage.protocol);
    return text == nullptr ? std::nullopt : std::optional(*text);
  }
  std::string ScoredText(const EvaluationStage& stage) const override { return stage.protocol; }
  std::string Objection(const EvaluationStage& stage, const ModelConfig& config) const override {
    const int64_t positions = LoadPerplexityProtocol(stage.protocol).positions().value_or(0);
    if (positions <= config.LongestText()) return "";
    return fmt::format("protocol {} has windows of {} tokens, but the model sees {}",
                       stage.protocol, positions, config.LongestText());
  }
  StageResult Run(const EvaluationStage& stage, EvaluationSubject& subject) const override {
    const ProtocolText& text = subject.bench.Text(subject.model, stage.protocol);
    return RecordsOf(stage.protocol, EvaluateProtocol(subject.source, text));
  }

 private:
  Params params_;
};

CONDENSE_REGISTER(Evaluator, PerplexityEvaluator, "perplexity", /*version=*/1,
                  "Perplexity, as protocols of configs/protocols define it.");

}  // namespace
}  // namespace condense
