// runner evaluate: what a model is worth. Perplexity on a text, on ids or by a named protocol;
// agreement with a dense model on the same; accuracy on tasks (evaluate_tasks.cc).
#include <fmt/format.h>

#include <cmath>
#include <iostream>

#include "base/error.h"
#include "evaluation/agreement.h"
#include "evaluation/perplexity.h"
#include "experiment/spec.h"
#include "experiment/workbench.h"
#include "runner/command.h"
#include "runner/evaluate_tasks.h"
#include "runner/json_output.h"

namespace condense {
namespace {

namespace po = boost::program_options;

void AddOptions(po::options_description& options) {
  auto add = options.add_options();
  add("model", po::value<std::string>()->value_name("DIR"), kModelHelp);
  add("text", po::value<std::string>()->value_name("FILE"), "text, taken as one string");
  add("ids", po::value<std::string>()->value_name("FILE"),
      "token ids: .npy, or raw little-endian integers");
  add("ids-type", po::value<std::string>()->value_name("TYPE"),
      "of raw ids: uint16 (default) or int32");
  add("protocol", po::value<std::string>()->value_name("NAME"),
      "of `runner list protocols`; with --tasks: lmeval-bos (default), lmeval-nobos or lmeval-0.3");
  add("window", po::value<int64_t>()->value_name("N"), "ids a window");
  add("special", po::value<std::string>()->value_name("WHERE"),
      "the tokenizer's leading token: once (default for texts), window, or none (default for ids)");
  add("dense", po::value<std::string>()->value_name("DIR"),
      "measure the agreement with this model instead of the perplexity");
  add("tasks", po::value<std::string>()->value_name("NAMES"),
      "tasks of `runner list tasks`, as arc_easy,piqa; NAME=FILE takes the documents from a file");
  add("limit", po::value<int64_t>()->value_name("N"), "only the first documents of each task");
  add("samples", po::value<std::string>()->value_name("FILE"),
      "write the scores of every document as JSON lines; an interrupted evaluation goes on");
  add("max-length", po::value<int64_t>()->value_name("N"),
      "ids in one request (default: the model's positions)");
  add("batch-tokens", po::value<int64_t>()->value_name("N"), "ids in one forward pass");
  add("dtype", po::value<std::string>()->value_name("NAME"),
      "float32 (default), bfloat16, float16 or float64");
  add("json", po::bool_switch(), "print JSON");
}

SpecialMode SpecialOf(const Arguments& arguments, SpecialMode otherwise) {
  const auto text = arguments.OptionalText("special");
  if (!text) return otherwise;
  for (const auto& [mode, name] : EnumNames<SpecialMode>::names) {
    if (*text == name) return mode;
  }
  throw MakeError<ConfigError>("--special {}: expected once, window or none", *text);
}

EvaluationText LoadText(const Arguments& arguments, const Tokenizer& tokenizer) {
  RequireOneOf(arguments, {"text", "ids", "protocol"});
  RefuseIdleIdsType(arguments, arguments.TextOr("ids", ""));
  if (const auto protocol = arguments.OptionalText("protocol")) {
    for (const char* fixed : {"window", "special"}) {
      if (arguments.Has(fixed)) {
        throw MakeError<ConfigError>("--{} cannot be combined with --protocol, which fixes it",
                                     fixed);
      }
    }
    return EvaluationFromProtocol(LoadPerplexityProtocol(*protocol), tokenizer, arguments.Data());
  }
  if (!arguments.Has("window")) {
    throw ConfigError("--window N is missing: the number of ids that the model sees at once");
  }
  const int64_t window = *arguments.Integer("window");
  if (window < 2) throw MakeError<ConfigError>("--window {}: expected at least 2 ids", window);
  if (const auto file = arguments.OptionalText("text")) {
    return EvaluationFromText(*file, {window, SpecialOf(arguments, SpecialMode::kOnce)}, tokenizer);
  }
  return EvaluationFromIds(arguments.Text("ids"),
                           ParseIdsType(arguments.TextOr("ids-type", "uint16")),
                           {window, SpecialOf(arguments, SpecialMode::kNone)}, tokenizer);
}

void Print(const PerplexityResult& result, const EvaluationText& text) {
  std::cout << fmt::format(
      "perplexity  {:.6f}  ({:.4f} ... {:.4f})\nnll         {:.8f} +- {:.8f}\nwindows     {} of {} "
      "ids, {} "
      "ids at the end left out\n",
      result.perplexity, result.Low(), result.High(), result.mean_nll, result.standard_error,
      result.windows, result.window, text.dropped_tokens);
}

// An option that would be ignored is refused.
void RefuseOutside(const Arguments& arguments, const char* where,
                   const std::vector<const char*>& options) {
  for (const char* option : options) {
    if (arguments.Has(option)) throw MakeError<ConfigError>("--{} goes {}", option, where);
  }
}

int PrintAgreement(const Arguments& arguments, const ModelSource& model, const Tokenizer& tokenizer,
                   const EvaluationText& text, const LoadOptions& load) {
  const std::filesystem::path folder =
      RequireModelFolder(arguments.Text("dense"), arguments.ModelRoots());
  if (LoadTokenizer(folder)->digest() != tokenizer.digest()) {
    throw MakeError<ConfigError>("--dense {}: has another tokenizer than the model",
                                 folder.string());
  }
  const OpenedModel dense(folder, load);
  const AgreementResult result = EvaluateAgreement(dense.source(), model, text);
  const std::vector<std::pair<const char*, double>> values = {
      {"kl_mean", result.kl_mean},       {"kl_error", result.kl_error},
      {"kl_median", result.kl_median},   {"kl_p90", result.kl_p90},
      {"kl_p99", result.kl_p99},         {"kl_max", result.kl_max},
      {"top1_agree", result.top1_agree}, {"top5_overlap", result.top5_overlap},
      {"dp_mean", result.dp_mean},       {"dp_rms", result.dp_rms},
      {"nll_diff", result.nll_diff},     {"perplexity_ratio", std::exp(result.nll_diff)},
  };
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
    RefuseOutside(arguments, "with a text, not with --tasks",
                  {"text", "ids", "ids-type", "window", "special", "dense"});
    return EvaluateTasks(arguments);
  }
  RefuseOutside(arguments, "with --tasks", {"limit", "samples", "max-length", "batch-tokens"});
  const std::filesystem::path folder = ModelFolder(arguments);
  const DType dtype = ParseDType(arguments.TextOr("dtype", "float32"));
  const auto tokenizer = LoadTokenizer(folder);
  const EvaluationText text = LoadText(arguments, *tokenizer);
  const InferenceScope inference;
  const LoadOptions load{.dtype = dtype, .device = OpenComputeDevice(arguments)};
  const OpenedModel model(folder, load);
  if (arguments.Has("dense"))
    return PrintAgreement(arguments, model.source(), *tokenizer, text, load);
  const PerplexityResult result = EvaluatePerplexity(model.source(), text);
  if (!arguments.Flag("json")) {
    Print(result, text);
    return 0;
  }
  PrintJsonLine({{"perplexity", result.perplexity},
                 {"nll", result.mean_nll},
                 {"standard_error", result.standard_error},
                 {"windows", result.windows},
                 {"window", result.window},
                 {"tokens", result.tokens},
                 {"dropped_tokens", text.dropped_tokens},
                 {"ids_sha256", result.ids_sha256},
                 {"source", text.source},
                 {"dtype", DTypeName(dtype)},
                 {"seconds", result.seconds}});
  return 0;
}

}  // namespace

const Command kEvaluateCommand{
    .name = "evaluate",
    .summary = "perplexity, agreement with a dense model, accuracy on tasks",
    .usage =
        "runner evaluate --model DIR (--protocol NAME | --text FILE --window N | --ids FILE "
        "--window N) [--dense DIR]\n"
        "       runner evaluate --model DIR --tasks NAMES [--data DIR] [--protocol NAME]",
    .details =
        "Perplexity: the ids are cut into windows without overlap, the rest at the end is left "
        "out, and the\n"
        "mean loss of the windows is exponentiated. With --dense: how far the next-token "
        "distributions are\n"
        "from that model's. Tasks: as the lm-evaluation-harness scores them, without examples.",
    .example = "runner evaluate --model llama2-mini --tasks arc_easy,piqa --data DIR --json",
    .add_options = AddOptions,
    .positional = {},
    .run = Run};

}  // namespace condense
