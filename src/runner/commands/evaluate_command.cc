// runner evaluate: the quality of a model. Perplexity on a text, on ids or by a named protocol;
// agreement with a dense model on the same; accuracy on tasks (evaluate_tasks.cc).
#include <fmt/format.h>

#include <cmath>
#include <iostream>

#include "base/error.h"
#include "base/progress.h"
#include "evaluation/agreement.h"
#include "evaluation/protocol_evaluation.h"
#include "experiment/inputs/model_tokenizer.h"
#include "experiment/run/workbench.h"
#include "experiment/spec/spec.h"
#include "runner/command.h"
#include "runner/commands/evaluate_tasks.h"
#include "runner/json_output.h"

namespace condense {
namespace {

std::vector<Option> Options() {
  return {
      ModelOption(),
      TextOption("text", "FILE", "text file, evaluated as one string", {.files = true}),
      TextOption("ids", "FILE", "file of token ids: .npy, or raw little-endian integers in .bin",
                 {.files = true}),
      IdsTypeOption(),
      TextOption("protocol", "NAME",
                 "protocol, see `runner list protocols`; with --tasks: lmeval-bos (default), "
                 "lmeval-nobos or lmeval-0.3",
                 {.listed = {"protocols"}, .words = RequestProtocolNames()}),
      IntegerOption("window", "tokens per window"),
      ChoiceOption("special", "WHERE", EnumChoices<SpecialMode>(),
                   "where the tokenizer's leading token is added: once (default for texts), "
                   "window (every window), or none (default for ids)"),
      TextOption("dense", "DIR", "measure the agreement with this model instead of the perplexity",
                 {.folders = true, .listed = {"models"}}),
      TextOption(
          "tasks", "NAMES",
          "tasks, as in arc_easy,piqa, see `runner list tasks`; NAME=FILE reads the documents "
          "from a file",
          {.listed = {"tasks"}, .several = true}),
      IntegerOption("limit", "only the first N documents per task"),
      TextOption("samples", "FILE",
                 "write the scores of every document as JSON lines; an interrupted evaluation "
                 "resumes from this file",
                 {.files = true}),
      IntegerOption("max-length", "tokens per request (default: the model's positions)"),
      IntegerOption("batch-tokens", "tokens per forward pass"),
      DTypeOption("number type of the computation: float32 (default), bfloat16, float16 or "
                  "float64"),
      Flag("json", "print JSON"),
  };
}

SpecialMode SpecialOf(const Arguments& arguments, SpecialMode otherwise) {
  const auto text = arguments.OptionalText("special");
  for (const auto& [mode, name] : EnumNames<SpecialMode>::names) {
    if (text == name) return mode;
  }
  return otherwise;
}

// Stands for the tokenizer of a folder where none is needed.
class NoTokenizer final : public Tokenizer {
 public:
  explicit NoTokenizer(int64_t size) : size_(size) {}
  std::vector<TokenId> Encode(std::string_view, SpecialTokens) const override { return Refuse(); }
  std::string Decode(std::span<const TokenId>, DecodeOptions) const override {
    Refuse();
    return "";
  }
  int64_t size() const override { return size_; }  // ids of the model
  std::optional<TokenId> bos() const override { return std::nullopt; }
  std::optional<TokenId> eos() const override { return std::nullopt; }
  const std::string& digest() const override { return digest_; }

 private:
  static std::vector<TokenId> Refuse() {
    CONDENSE_CHECK(false, "ids need no tokenizer");
    return {};
  }
  int64_t size_;
  std::string digest_;
};

// Ids that are taken as they are.
bool HasBareIds(const Arguments& arguments) {
  return arguments.Has("ids") && !arguments.Has("text") && !arguments.Has("protocol") &&
         SpecialOf(arguments, SpecialMode::kNone) == SpecialMode::kNone;
}

std::unique_ptr<Tokenizer> TokenizerFor(const Arguments& arguments,
                                        const std::filesystem::path& folder) {
  if (HasBareIds(arguments)) {
    const StoredModel model(folder, LoadOptions{}, Residence::kStreamed);
    return std::make_unique<NoTokenizer>(model.config().vocab_size);
  }
  return LoadModelTokenizer(folder);
}

// What is scored, and how many windows an agreement takes by default.
struct Scored {
  ProtocolText text;
  std::optional<int64_t> agreement_windows;
};

Scored LoadText(const Arguments& arguments, const Tokenizer& tokenizer) {
  RequireOneOf(arguments, {"text", "ids", "protocol"});
  RefuseIdleIdsType(arguments, arguments.TextOr("ids", ""));
  if (const auto protocol = arguments.OptionalText("protocol")) {
    for (const char* fixed : {"window", "special"}) {
      if (arguments.Has(fixed)) {
        throw MakeError<ConfigError>("--{} cannot be combined with --protocol, which fixes it",
                                     fixed);
      }
    }
    const NamedProtocol named = LoadPerplexityProtocol(*protocol);
    if (arguments.Has("dense")) AgreementOn(named);  // refuses texts without windows
    return {LoadProtocolText(named, tokenizer, arguments.Data()), named.agreement_windows};
  }
  if (!arguments.Has("window")) {
    throw ConfigError("--window N is missing: the number of tokens that the model sees at once");
  }
  const int64_t window = *arguments.Integer("window");
  if (window < 2) throw MakeError<ConfigError>("--window {}: expected at least 2 ids", window);
  if (const auto file = arguments.OptionalText("text")) {
    return {
        EvaluationFromText(*file, {window, SpecialOf(arguments, SpecialMode::kOnce)}, tokenizer),
        {}};
  }
  return {
      EvaluationFromIds(arguments.Text("ids"), ParseIdsType(arguments.TextOr("ids-type", "uint16")),
                        {window, SpecialOf(arguments, SpecialMode::kNone)}, tokenizer),
      {}};
}

void Print(const ProtocolMeasurement& measured, const ProtocolText& text) {
  for (const MeasuredValue& value : measured.values) {
    if (value.metric->unit == "count") continue;
    std::string line = fmt::format("{:<15} {:.8g}", value.metric->name, value.value);
    if (value.standard_error) line += fmt::format(" +- {:.3g}", *value.standard_error);
    if (value.interval) {
      line += fmt::format("  (95 %: {:.6g} ... {:.6g})", value.interval->low, value.interval->high);
    }
    std::cout << line << "\n";
  }
  if (const auto* windows = std::get_if<EvaluationText>(&text)) {
    std::cout << fmt::format("windows         {} of {} ids, {} ids at the end left out\n",
                             windows->windows, windows->window, windows->dropped_tokens);
  } else {
    std::cout << fmt::format("pages           {}\n", measured.count);
  }
}

void PrintJson(const ProtocolMeasurement& measured, const ProtocolText& text, DType dtype) {
  Json json;
  for (const MeasuredValue& value : measured.values) {
    const std::string& name = value.metric->name;
    const bool whole = value.metric->unit == "count";
    json[name] = whole ? Json(static_cast<int64_t>(value.value)) : Json(value.value);
    if (value.standard_error) json[name + "_stderr"] = *value.standard_error;
    if (value.interval) json[name + "_ci95"] = {value.interval->low, value.interval->high};
  }
  if (const auto* windows = std::get_if<EvaluationText>(&text)) {
    json["windows"] = windows->windows;
    json["window"] = windows->window;
    json["dropped_tokens"] = windows->dropped_tokens;
  } else {
    json["pages"] = measured.count;
  }
  json["ids_sha256"] = measured.ids_sha256;
  json["source"] = SourceOf(text);
  json["dtype"] = DTypeName(dtype);
  json["seconds"] = measured.seconds;
  PrintJsonLine(json);
}

// An option that would be ignored is refused.
void RefuseOptions(const Arguments& arguments, const char* reason,
                   const std::vector<const char*>& options) {
  for (const char* option : options) {
    if (arguments.Has(option)) throw MakeError<ConfigError>("--{} {}", option, reason);
  }
}

int PrintAgreement(const Arguments& arguments, const ModelSource& model, const Tokenizer& tokenizer,
                   const Scored& scored, const LoadOptions& load) {
  const std::filesystem::path folder =
      RequireModelFolder(arguments.Text("dense"), arguments.ModelRoots());
  if (TokenizerFor(arguments, folder)->digest() != tokenizer.digest()) {
    throw MakeError<ConfigError>("--dense {}: its tokenizer differs from that of --model",
                                 folder.string());
  }
  const StoredModel dense(folder, load);
  const AgreementResult result =
      EvaluateAgreement(dense.source(), model, std::get<EvaluationText>(scored.text),
                        {.first_windows = scored.agreement_windows});
  std::vector<std::pair<std::string, double>> values;
  for (const MeasuredValue& value : MeasuredOf(result).values) {
    if (value.metric->unit == "count") continue;
    values.emplace_back(value.metric->name, value.value);
    if (values.size() == 1) values.emplace_back("kl_error", result.kl_error);  // of the first
  }
  values.emplace_back("perplexity_ratio", std::exp(result.nll_diff));
  if (!arguments.Flag("json")) {
    for (const auto& [name, value] : values)
      std::cout << fmt::format("{:<17} {:.6g}\n", name, value);
    std::cout << fmt::format("windows           {} of {} ids\n", result.windows, result.window);
    return 0;
  }
  Json json;
  for (const auto& [name, value] : values) json[name] = value;
  json["windows"] = result.windows;
  json["window"] = result.window;
  json["positions"] = result.positions;
  json["vocabulary_cut"] = result.vocabulary_cut;
  json["ids_sha256"] = result.ids_sha256;
  json["seconds"] = result.seconds;
  PrintJsonLine(json);
  return 0;
}

int Run(const Arguments& arguments) {
  if (arguments.Has("tasks")) {
    RefuseOptions(arguments, "cannot be combined with --tasks",
                  {"text", "ids", "ids-type", "window", "special", "dense"});
    return EvaluateTasks(arguments);
  }
  RefuseOptions(arguments, "applies only to --tasks",
                {"limit", "samples", "max-length", "batch-tokens"});
  const std::filesystem::path folder = ModelFolder(arguments);
  const DType dtype = ParseDType(arguments.TextOr("dtype", "float32"));
  const auto tokenizer = TokenizerFor(arguments, folder);
  const Scored scored = LoadText(arguments, *tokenizer);
  std::optional<Progress> progress(std::in_place, "evaluate " + folder.string());
  const InferenceScope inference;
  const LoadOptions load{.dtype = dtype, .device = OpenComputeDevice(arguments)};
  const StoredModel model(folder, load);
  if (arguments.Has("dense")) {
    progress.reset();
    return PrintAgreement(arguments, model.source(), *tokenizer, scored, load);
  }
  const ProtocolMeasurement measured = EvaluateProtocol(model.source(), scored.text);
  progress.reset();
  if (arguments.Flag("json")) {
    PrintJson(measured, scored.text, dtype);
  } else {
    Print(measured, scored.text);
  }
  return 0;
}

}  // namespace

Command EvaluateCommand() {
  return {
      .name = "evaluate",
      .summary = "measure perplexity, agreement with a dense model, or accuracy on tasks",
      .usage =
          "runner evaluate --model DIR (--protocol NAME | --text FILE --window N | --ids "
          "FILE --window N) [--dense DIR]\n"
          "       runner evaluate --model DIR --tasks NAMES [--data DIR] [--protocol NAME]",
      .details =
          "Prints the perplexity: the tokens are cut into windows without overlap, an incomplete\n"
          "window at the end is left out, and the result is the exponential of the windows' mean\n"
          "loss. With --dense it prints how far the next-token distributions are from those of the\n"
          "dense model. With --tasks it prints zero-shot accuracies as lm-evaluation-harness\n"
          "computes them.",
      .example = "runner evaluate --model llama2-mini --tasks arc_easy,piqa --data DIR --json",
      .options = Options(),
      .run = Run};
}

}  // namespace condense
