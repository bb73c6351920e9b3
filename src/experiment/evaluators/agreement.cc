// Agreement of a compressed model's next-token distributions with the dense model's.
#include <fmt/format.h>

#include "evaluation/agreement.h"
#include "experiment/cell_records.h"
#include "experiment/config_name.h"
#include "experiment/evaluator.h"
#include "experiment/workbench.h"

namespace condense {
namespace {

const std::string kPrefix = "agree-";

class AgreementEvaluator final : public Evaluator {
 public:
  struct Params {
    std::vector<ConfigName<ProtocolKind>> protocols;

    template <class V>
    void Fields(V&& field) {
      field("protocols", protocols, "perplexity protocols whose windows are compared", Required{},
            NonEmpty{});
    }
    void Validate(const Node& at, Problems& problems) const {
      RefuseRepeated(at, "protocols", protocols, problems);
    }
  };
  explicit AgreementEvaluator(Params params) : params_(std::move(params)) {}

  std::vector<EvaluationStage> Stages() const override {
    std::vector<EvaluationStage> stages;
    for (const auto& protocol : params_.protocols) stages.push_back({kPrefix + protocol.name, ""});
    return stages;
  }
  std::string ProtocolParams(const EvaluationStage& stage) const override {
    return fmt::format(R"({{"text":{}}})", Text(stage).params);
  }
  std::optional<Input> Inputs(const EvaluationStage& stage, InputResolver& inputs) const override {
    const Input* text = inputs.Protocol(ScoredText(stage));
    if (text == nullptr) return std::nullopt;
    Input input = *text;
    input.canonical = fmt::format(R"({{"agreement":{}}})", text->canonical);
    return input;
  }
  bool ForDense() const override { return false; }
  std::string ScoredText(const EvaluationStage& stage) const override {
    return stage.protocol.substr(kPrefix.size());
  }
  std::string Objection(const EvaluationStage& stage, const ModelConfig& config) const override {
    const int64_t window = Text(stage).protocol.window;
    if (window <= config.max_positions) return "";
    return fmt::format("protocol {} has windows of {} tokens, but the model sees {}",
                       ScoredText(stage), window, config.max_positions);
  }
  StageResult Run(const EvaluationStage& stage, EvaluationSubject& subject) const override {
    const EvaluationText& text = subject.bench.Text(subject.model, ScoredText(stage));
    const ModelSource& dense = subject.bench.Model(subject.model).source();
    return AgreementRecords(stage.protocol, EvaluateAgreement(dense, subject.source, text));
  }

 private:
  NamedProtocol Text(const EvaluationStage& stage) const {
    return LoadPerplexityProtocol(ScoredText(stage));
  }

  Params params_;
};

CONDENSE_REGISTER(Evaluator, AgreementEvaluator, "agreement", /*version=*/1,
                  "Divergence of next-token distributions from the dense model's.");

}  // namespace
}  // namespace condense
