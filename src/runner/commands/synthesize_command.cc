// runner synthesize: a random checkpoint of a real model's shape.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "config/paths.h"
#include "experiment/inputs/model_place.h"
#include "model/stored/stored_files.h"
#include "model/stored/synthesis.h"
#include "runner/command.h"
#include "runner/json_output.h"

namespace condense {
namespace {

namespace fs = std::filesystem;

// A model whose tokenizer any other model may use: its ids are below the vocabulary of all.
constexpr const char* kTokenizerModel = "llama2-mini";

struct Shape {
  Node config;
  std::string where;
};

// The config.json of a folder, or the shape that configs/models declares for a name.
Shape ShapeLike(const std::string& like) {
  const fs::path file = fs::path(like) / "config.json";
  if (fs::exists(file)) {
    // JSON is YAML, once it is known to be JSON.
    const std::string text = ReadFile(file);
    return {Node::ParseText(ParseJson(text, file.string(), DuplicateKeys::kRefused).dump(),
                            file.string()),
            file.string()};
  }
  const fs::path declared = NamedConfig("models", like);
  auto settings = ReadStruct<ModelSettings>(Node::ParseFile(declared));
  if (!settings.config.IsMap()) {
    throw MakeError<ConfigError>(
        "--like {}: {} does not declare a shape (config); name another model, or a folder with a "
        "config.json",
        like, declared.string());
  }
  return {std::move(settings.config), declared.string()};
}

// A key that the shape lacks is more likely misspelt than meant, and families skip what they do not
// know.
void RefuseUnknownKeys(const Node& config, const std::vector<std::string>& assignments) {
  std::vector<std::string> known;
  for (const auto& [key, value] : config.entries()) known.push_back(key);
  for (const std::string& assignment : assignments) {
    const std::string key = assignment.substr(0, assignment.find_first_of("=.["));
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    throw MakeError<ConfigError>("--set {}: unknown key '{}'{}", assignment, key,
                                 SuggestName(key, known));
  }
}

nlohmann::json ConfigOf(const Arguments& arguments, std::string& where) {
  Shape shape = ShapeLike(arguments.Text("like"));
  where = shape.where;
  if (const auto layers = arguments.Integer("layers")) {
    if (*layers < 1) throw MakeError<ConfigError>("--layers {}: expected 1 or more", *layers);
    shape.config.Set("num_hidden_layers", std::string_view(std::to_string(*layers)));
  }
  RefuseUnknownKeys(shape.config, arguments.Texts("set"));
  ApplyOverrides(shape.config, arguments.Texts("set"));
  return nlohmann::json::parse(CanonicalText(shape.config));
}

std::vector<fs::path> TokenizerOf(const Arguments& arguments) {
  const std::string from = arguments.TextOr("tokenizer", kTokenizerModel);
  if (from == "none") return {};
  const std::vector<fs::path> files =
      TokenizerFiles(RequireModelFolder(from, arguments.ModelRoots()));
  if (files.empty()) throw MakeError<ConfigError>("--tokenizer {}: has no tokenizer", from);
  return files;
}

int Run(const Arguments& arguments) {
  const std::string out = arguments.Text("out");
  const auto seed = arguments.Integer("seed").value_or(0);
  if (seed < 0) throw MakeError<ConfigError>("--seed {}: expected 0 or more", seed);
  std::string where;
  const nlohmann::json config = ConfigOf(arguments, where);
  const SynthesizedModel made =
      SynthesizeModel(config, where, out,
                      {.dtype = ParseDType(arguments.TextOr("dtype", "float16")),
                       .seed = static_cast<uint64_t>(seed),
                       .tokenizer_files = TokenizerOf(arguments)});
  if (arguments.Flag("json")) {
    PrintJsonLine({{"parameters", made.parameters}, {"bytes", made.weight_bytes}});
  } else {
    std::cout << fmt::format("{}: {} random parameters, {}\n", out, GroupThousands(made.parameters),
                             HumanBytes(made.weight_bytes));
  }
  return 0;
}

}  // namespace

Command SynthesizeCommand() {
  return {.name = "synthesize",
          .summary = "make a random model of a real model's shape, to measure time and memory",
          .usage = "runner synthesize --like NAME --out DIR [options]",
          .details =
              "Writes a model folder with random weights, tensor by tensor. The weights have the\n"
              "spectra of trained ones, so that compression takes the time and the memory that it\n"
              "takes on the real model; what the model says means nothing.",
          .example = "runner synthesize --like llama-2-7b --layers 2 --out models/two-layers",
          .options = {TextOption("like", "NAME",
                                 "a name of `runner list models`, or a folder with a config.json",
                                 {.folders = true, .listed = {"models"}}),
                      IntegerOption("layers", "blocks (default: as many as the model has)"),
                      TextsOption("set", "KEY=VALUE",
                                  "another value of a key of the shape (may be repeated)"),
                      TextOption("out", "DIR", "folder to write the model to", {.folders = true}),
                      DTypeOption("number type of the weights: float16 (default), bfloat16, "
                                  "float32 or float64"),
                      IntegerOption("seed", "random seed (default: 0)"),
                      TextOption("tokenizer", "MODEL",
                                 "model whose tokenizer is copied (default: llama2-mini), or none",
                                 {.folders = true, .listed = {"models"}, .words = {"none"}}),
                      Flag("json", "print JSON")},
          .run = Run};
}

}  // namespace condense
