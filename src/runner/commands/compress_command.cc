// runner compress: one model, one method, one ratio, into a folder.
#include <fmt/format.h>

#include <iostream>

#include "base/error.h"
#include "base/strings.h"
#include "base/system.h"
#include "experiment/run/folder_compression.h"
#include "runner/command.h"
#include "runner/json_output.h"

namespace condense {
namespace {

namespace po = boost::program_options;

void AddOptions(po::options_description& options) {
  auto add = options.add_options();
  add("model", po::value<std::string>()->value_name("DIR"), kModelHelp);
  add("method", po::value<std::string>()->value_name("NAME"), "a method of `runner list methods`");
  add("ratio", po::value<double>()->value_name("R"), "fraction to remove, in [0, 1)");
  add("match", po::value<std::string>()->value_name("WHAT"),
      "what the ratio counts: block (default), nominal, total or total_abs");
  add("allocator", po::value<std::string>()->value_name("NAME"), "how much is removed where");
  add("calibration", po::value<std::string>()->value_name("SET"),
      "a name of `runner list calibrations`, text:FILE or ids:FILE");
  add("samples", po::value<int64_t>()->value_name("N"),
      "sequences of text: and ids: (default 128)");
  add("length", po::value<int64_t>()->value_name("N"), "ids in each (default 256)");
  add("ids-type", po::value<std::string>()->value_name("TYPE"),
      "of raw ids: uint16 (default) or int32");
  add("seed", po::value<int64_t>()->value_name("N"),
      "of the draws (default: the calibration set's own)");
  add("out", po::value<std::string>()->value_name("DIR"), "folder to write");
  add("set", po::value<std::vector<std::string>>()->composing()->value_name("KEY=VALUE"),
      "an option of the method, see `runner describe` (may be repeated)");
  add("dtype", po::value<std::string>()->value_name("NAME"),
      "of the computation and of what is written: float32 (default), bfloat16, float16 or float64");
  add("json", po::bool_switch(), "print JSON");
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
      throw MakeError<ConfigError>("--set {}: the method is named by --method", assignment);
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

void Print(const CompressionResult& result, const Arguments& arguments) {
  std::cout << fmt::format(
      "{}: {} parameters, {} of them block weights\nremoved: {:.2f}% of block weights, {:.2f}% of "
      "all parameters (nominal {:.4f})\n{}, peak memory {}\n",
      arguments.Text("out"), GroupThousands(result.parameters.Total()),
      GroupThousands(result.parameters.block), 100 * result.ratios.block, 100 * result.ratios.total,
      result.nominal, HumanDuration(result.seconds), HumanBytes(PeakResidentBytes()));
}

void PrintJson(const CompressionResult& result, const CalibrationSet& set) {
  PrintJsonLine({{"parameters", result.parameters.Total()},
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
                 {"calibration", {{"id", set.id}, {"hash", set.hash}, {"tokens", set.tokens}}}});
}

int Run(const Arguments& arguments) {
  MethodSpec method = MethodOf(arguments);
  const double ratio = method.uses_ratio ? arguments.Number("ratio") : 0;
  if (!(ratio >= 0 && ratio < 1))
    throw MakeError<ConfigError>("--ratio {}: expected a number in [0, 1)", ratio);
  const auto calibration = CalibrationOf(arguments, method);
  const CompressedFolder compressed =
      CompressFolder({.model = ModelFolder(arguments),
                      .out = arguments.Text("out"),
                      .method = std::move(method),
                      .ratio = ratio,
                      .calibration = calibration,
                      .seed = SeedOf(arguments).value_or(0),
                      .data = arguments.Data(),
                      .load = {.dtype = ParseDType(arguments.TextOr("dtype", "float32")),
                               .device = OpenComputeDevice(arguments)}});
  if (arguments.Flag("json")) {
    PrintJson(compressed.result, compressed.calibration);
  } else {
    Print(compressed.result, arguments);
  }
  return 0;
}

}  // namespace

const Command kCompressCommand{
    .name = "compress",
    .summary = "compress a model into a folder",
    .usage =
        "runner compress --model DIR --method NAME --ratio R --calibration SET --out DIR [options]",
    .details =
        "Writes a self-describing folder that every command takes as a model. With --json: "
        "parameters,\n"
        "block_parameters, ratios, seconds, peak_rss_bytes.",
    .example =
        "runner compress --model llama2-mini --method slicegpt --ratio 0.2 \\\n"
        "      --calibration bundled-128x256 --out /tmp/sliced --set round_to=1",
    .add_options = AddOptions,
    .positional = {},
    .run = Run};

}  // namespace condense
