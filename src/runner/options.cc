#include "runner/options.h"

namespace condense {

const std::vector<Option>& CommonOptions() {
  static const std::vector<Option> options = {
      TextsOption(
          "models", "DIR",
          "folder with one folder per model (may be repeated; default: $CONDENSE_MODELS, or "
          "models)",
          {.folders = true}),
      TextsOption("data", "DIR",
                  "folder with texts and tasks, laid out as configs/README.md says (may be "
                  "repeated)",
                  {.folders = true}),
      TextOption("db", "FILE", "results database (default: results/results.sqlite)",
                 {.files = true}),
      IntegerOption("threads", "CPU threads (default: one per core)"),
      TextOption("device", "NAME", "cpu (default), cuda or cuda:N", {.words = {"cpu", "cuda"}}),
      Flag("quiet", "print warnings and errors only"),
      Flag("verbose", "print debug messages too"),
      Flag("help", "print this help"),
  };
  return options;
}

Option ModelOption() {
  return TextOption(
      "model", "DIR",
      "folder or GGUF file of the model, a name of `runner list models`, or a hub id ORG/NAME that "
      "was downloaded",
      {.files = true, .folders = true, .listed = {"models"}});
}

Option ExperimentOption() {
  return TextOption("experiment", "FILE",
                    "experiment file (the first argument; --experiment may be left out)",
                    {.experiments = true});
}

Option ProfileOption() {
  return TextOption("profile", "NAME", "profile of the experiment (default: bundled)",
                    {.words = {"bundled", "paper"}});
}

Option StoredSetOption() {
  return TextsOption("set", "KEY=VALUE",
                     "a change that the experiment was run with (may be repeated)");
}

Option IdsTypeOption() {
  return TextOption("ids-type", "TYPE", "type of raw ids: uint16 (default) or int32",
                    {.words = {"uint16", "int32"}});
}

Option DTypeOption(std::string help) {
  return TextOption("dtype", "NAME", std::move(help),
                    {.words = {"float32", "bfloat16", "float16", "float64"}});
}

}  // namespace condense
