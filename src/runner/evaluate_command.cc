// runner evaluate: perplexity of a model on a text, on ids, or by a named protocol.
#include <fmt/format.h>

#include <iostream>

#include "base/error.h"
#include "evaluation/perplexity.h"
#include "experiment/spec.h"
#include "experiment/workbench.h"
#include "runner/command.h"
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
      "a protocol of `runner list protocols`");
  add("window", po::value<int64_t>()->value_name("N"), "ids a window");
  add("special", po::value<std::string>()->value_name("WHERE"),
      "the tokenizer's leading token: once (default for texts), window, or none (default for ids)");
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

int Run(const Arguments& arguments) {
  const std::filesystem::path folder = ModelFolder(arguments);
  const DType dtype = ParseDType(arguments.TextOr("dtype", "float32"));
  const auto tokenizer = LoadTokenizer(folder);
  const EvaluationText text = LoadText(arguments, *tokenizer);
  const InferenceScope inference;
  const OpenedModel model(folder, {.dtype = dtype, .device = OpenComputeDevice(arguments)});
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
    .summary = "perplexity of a model",
    .usage =
        "runner evaluate --model DIR (--protocol NAME | --text FILE --window N | --ids FILE "
        "--window N)",
    .details =
        "The ids are cut into windows without overlap, the rest at the end is left out, and the "
        "mean\n"
        "loss of the windows is exponentiated. With --json: perplexity, nll, windows, tokens, ...",
    .example = "runner evaluate --model llama2-mini --protocol bundled-256 --json",
    .add_options = AddOptions,
    .positional = {},
    .run = Run};

}  // namespace condense
