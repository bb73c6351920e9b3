// runner compress: one model, one method, one ratio, into a folder.
#include <fmt/format.h>

#include <iostream>

#include "base/error.h"
#include "base/progress.h"
#include "base/strings.h"
#include "base/system.h"
#include "experiment/run/folder_compression.h"
#include "experiment/spec/spec.h"
#include "runner/command.h"
#include "runner/json_output.h"

namespace condense {
namespace {

std::vector<Option> Options() {
  return {
      ModelOption(),
      TextOption("method", "NAME", "compression method, see `runner list methods`",
                 {.listed = {"methods"}}),
      NumberOption("ratio", "R", "fraction to remove, in [0, 1)"),
      TextOption("match", "WHAT",
                 "what the ratio counts: block (default), the weights of the blocks; total, all "
                 "parameters; total_abs, all parameters, but with the ratio taken of the block "
                 "weights; nominal, the paper's own definition",
                 {.words = EnumChoices<Match>()}),
      TextOption("allocator", "NAME",
                 "how the ratio is spread over layers and modules, see `runner list allocators`",
                 {.listed = {"allocators"}}),
      TextOption("calibration", "SET",
                 "calibration set, see `runner list calibrations`; or text:FILE or ids:FILE",
                 {.listed = {"calibrations"}, .words = {"text:", "ids:"}}),
      IntegerOption("samples", "sequences taken from text:FILE or ids:FILE (default: 128)"),
      IntegerOption("length", "tokens per sequence of text:FILE or ids:FILE (default: 256)"),
      IdsTypeOption(),
      IntegerOption("seed", "random seed (default: that of the calibration set)"),
      TextOption("out", "DIR", "folder to write the compressed model to", {.folders = true}),
      TextsOption("set", "KEY=VALUE",
                  "option of the method, see `runner describe METHOD` (may be repeated)"),
      DTypeOption("number type of computation and result: float32 (default), bfloat16, float16 or "
                  "float64"),
      TextOption(
          "gram-math", "TYPE",
          "products of activations: float32 (default) in tiles that are added up in float64, "
          "or float64 throughout, at twice the time",
          {.words = EnumChoices<GramMath>()}),
      Flag("json", "print JSON"),
  };
}

MethodSpec MethodOf(const Arguments& arguments) {
  Node node = Node::String(arguments.Text("method"), {"--method"});
  for (const char* option : {"match", "allocator"}) {
    if (const auto text = arguments.OptionalText(option)) {
      node.Set(option, Node::String(*text, {fmt::format("--{}", option)}));
    }
  }
  for (const std::string& assignment : arguments.Texts("set")) {
    if (StartsWith(assignment, "use=")) {
      throw MakeError<ConfigError>("--set {}: the method is given by --method", assignment);
    }
  }
  ApplyOverrides(node, arguments.Texts("set"));
  Problems problems;
  std::optional<MethodSpec> method = ReadMethod(node, problems);
  problems.ThrowIfAny();
  return *std::move(method);
}

std::optional<uint64_t> SeedOf(const Arguments& arguments) {
  const auto seed = arguments.Integer("seed");
  if (!seed) return std::nullopt;
  if (*seed < 0) throw MakeError<ConfigError>("--seed {}: expected 0 or more", *seed);
  return static_cast<uint64_t>(*seed);
}

std::optional<CalibrationRequest> CalibrationOf(const Arguments& arguments,
                                                const MethodSpec& method) {
  if (!method.uses_calibration) return std::nullopt;
  if (!arguments.Has("calibration")) {
    throw MakeError<ConfigError>("method '{}' needs --calibration NAME, text:FILE or ids:FILE",
                                 method.method.name);
  }
  const std::string& name = arguments.Text("calibration");
  RefuseIdleIdsType(arguments, StartsWith(name, "ids:") ? name.substr(4) : "");
  return CalibrationRequest{.name = name,
                            .samples = arguments.Integer("samples"),
                            .length = arguments.Integer("length"),
                            .seed = SeedOf(arguments),
                            .ids_type = ParseIdsType(arguments.TextOr("ids-type", "uint16"))};
}

GramMath GramMathOf(const Arguments& arguments) {
  GramMath math = FolderCompression().gram_math;
  Problems problems;
  if (const auto text = arguments.OptionalText("gram-math")) {
    FieldType<GramMath>::Read(Node::String(*text, {"--gram-math"}), math, problems);
  }
  problems.ThrowIfAny();
  return math;
}

void Print(const CompressionResult& result, const Arguments& arguments) {
  std::cout << fmt::format(
      "{}: {} parameters, {} of them block weights\nremoved: {:.2f}% of block weights, {:.2f}% of "
      "all parameters (nominal {:.4f})\n{}, peak memory {}\n",
      arguments.Text("out"), GroupThousands(result.parameters.Total()),
      GroupThousands(result.parameters.block), 100 * result.ratios.block, 100 * result.ratios.total,
      result.nominal, HumanDuration(result.seconds), HumanBytes(PeakResidentBytes()));
}

void PrintJson(const CompressionResult& result, const CalibrationSet& set) {
  nlohmann::ordered_json line{
      {"parameters", result.parameters.Total()},
      {"block_parameters", result.parameters.block},
      {"ratios",
       {{"nominal", result.nominal},
        {"block", result.ratios.block},
        {"block_full", result.ratios.block_full},
        {"total", result.ratios.total},
        {"untied", result.ratios.untied},
        {"compute", result.ratios.compute}}},
      {"seconds", result.seconds},
      {"peak_rss_bytes", PeakResidentBytes()},
      {"calibration", {{"id", set.id}, {"hash", set.hash}, {"tokens", set.tokens}}}};
  if (const auto& outcome = result.outcome) {
    line["ratio_asked"] = outcome->asked;
    line["ratio_achieved"] = outcome->achieved;
    line["ratio_missed"] = outcome->missed;
  }
  PrintJsonLine(line);
}

int Run(const Arguments& arguments) {
  MethodSpec method = MethodOf(arguments);
  const double ratio = method.uses_ratio ? arguments.Number("ratio") : 0;
  if (!(ratio >= 0 && ratio < 1))
    throw MakeError<ConfigError>("--ratio {}: expected a number in [0, 1)", ratio);
  const auto calibration = CalibrationOf(arguments, method);
  std::optional<Progress> progress(std::in_place, "compress " + arguments.Text("model"));
  const CompressedFolder compressed =
      CompressFolder({.model = ModelFolder(arguments),
                      .out = arguments.Text("out"),
                      .method = std::move(method),
                      .ratio = ratio,
                      .calibration = calibration,
                      .seed = SeedOf(arguments).value_or(0),
                      .data = arguments.Data(),
                      .load = {.dtype = ParseDType(arguments.TextOr("dtype", "float32")),
                               .device = OpenComputeDevice(arguments)},
                      .gram_math = GramMathOf(arguments)});
  progress.reset();
  if (arguments.Flag("json")) {
    PrintJson(compressed.result, compressed.calibration);
  } else {
    Print(compressed.result, arguments);
  }
  return 0;
}

}  // namespace

Command CompressCommand() {
  return {
      .name = "compress",
      .summary = "compress one model with one method",
      .usage =
          "runner compress --model DIR --method NAME --ratio R --calibration SET --out DIR "
          "[options]",
      .details =
          "Writes a folder that every other command accepts as a model. A ratio that is missed is\n"
          "warned of: by more than half a block where a method removes whole blocks, or by more\n"
          "than 0.05. Where nothing can be removed the command fails. With --json it prints\n"
          "parameters, block_parameters, ratios, seconds, peak_rss_bytes, calibration, and for a\n"
          "ratio above 0 ratio_asked, ratio_achieved (as --match counts) and ratio_missed.",
      .example =
          "runner compress --model llama2-mini --method slicegpt --ratio 0.2 \\\n"
          "      --calibration bundled-128x256 --out /tmp/sliced --set round_to=1",
      .options = Options(),
      .run = Run};
}

}  // namespace condense
