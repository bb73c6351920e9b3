// Agreement of a compressed model's next-token distributions with the dense model's.
#include <fmt/format.h>

#include "base/error.h"
#include "evaluation/agreement.h"
#include "experiment/inputs/config_name.h"
#include "experiment/run/cell_records.h"
#include "experiment/run/workbench.h"
#include "experiment/stages/evaluator.h"

namespace condense {
namespace {

class AgreementEvaluator final : public Evaluator {
 public:
  struct Params {
    std::vector<ConfigName<ProtocolKind>> protocols;
    std::optional<int64_t> windows;

    template <class V>
    void Fields(V&& field) {
      field("protocols", protocols, "perplexity protocols whose windows are compared", Required{},
            NonEmpty{});
      field("windows", windows, "number of windows; the protocol's own number unless given",
            Range::AtLeast(1));
    }
    void Validate(const Node& at, Problems& problems) const {
      RefuseRepeated(at, "protocols", protocols, problems);
      for (const auto& protocol : protocols) {
        try {
          AgreementOn(LoadPerplexityProtocol(protocol.name), windows);
        } catch (const ConfigError& error) {
          problems.Add(at, error.what());
        }
      }
    }
  };
  explicit AgreementEvaluator(Params params) : params_(std::move(params)) {}

  std::vector<EvaluationStage> Stages() const override {
    std::vector<EvaluationStage> stages;
    for (const auto& protocol : params_.protocols) stages.push_back({On(protocol.name).id, ""});
    return stages;
  }
  std::string ProtocolParams(const EvaluationStage& stage) const override {
    return On(ScoredText(stage)).params;
  }
  std::optional<Input> Inputs(const EvaluationStage& stage, InputResolver& inputs) const override {
    const Input* text = inputs.Protocol(ScoredText(stage));
    if (text == nullptr) return std::nullopt;
    Input input = *text;
    input.canonical =
        fmt::format(R"({{"agreement":{},"text":{}}})", ProtocolParams(stage), text->canonical);
    return input;
  }
  bool ForDense() const override { return false; }
  std::string ScoredText(const EvaluationStage& stage) const override {
    for (const auto& protocol : params_.protocols) {
      if (On(protocol.name).id == stage.protocol) return protocol.name;
    }
    throw MakeError<ConfigError>("no text is compared as {}", stage.protocol);
  }
  std::string Objection(const EvaluationStage& stage, const ModelConfig& config) const override {
    const std::string text = ScoredText(stage);
    const int64_t positions = LoadPerplexityProtocol(text).positions().value_or(0);
    if (positions <= config.LongestText()) return "";
    return fmt::format("protocol {} has windows of {} tokens, but the model sees {}", text,
                       positions, config.LongestText());
  }
  StageResult Run(const EvaluationStage& stage, EvaluationSubject& subject) const override {
    const std::string text = ScoredText(stage);
    const auto reference =
        subject.bench.Reference(subject.model, text, {.first_windows = On(text).windows});
    const AgreementResult result = EvaluateAgreement(*reference, subject.source);
    return RecordsOf(stage.protocol, MeasuredOf(result));
  }

 private:
  AgreementProtocol On(const std::string& text) const {
    return AgreementOn(LoadPerplexityProtocol(text), params_.windows);
  }

  Params params_;
};

CONDENSE_REGISTER(Evaluator, AgreementEvaluator, "agreement", /*version=*/1,
                  "Divergence of next-token distributions from the dense model's.");

}  // namespace
}  // namespace condense
