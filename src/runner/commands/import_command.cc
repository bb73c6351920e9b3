// runner import: a GGUF file into a model folder.
#include <fmt/format.h>

#include <iostream>

#include "base/strings.h"
#include "model/stored/gguf/gguf_import.h"
#include "runner/command.h"
#include "runner/json_output.h"

namespace condense {
namespace {

int Run(const Arguments& arguments) {
  const DType dtype = ParseDType(arguments.TextOr("dtype", "float16"));
  const std::string out = arguments.Text("out");
  const ImportedModel model = ImportGguf(arguments.Text("file"), out, dtype);
  if (arguments.Flag("json")) {
    PrintJsonLine({{"parameters", model.parameters},
                   {"vocab_size", model.vocab_size},
                   {"dtype", DTypeName(dtype)},
                   {"bytes", model.weight_bytes}});
  } else {
    std::cout << fmt::format("{}: {} parameters in {}, {}; {} tokens\n", out,
                             GroupThousands(model.parameters), DTypeName(dtype),
                             HumanBytes(model.weight_bytes), GroupThousands(model.vocab_size));
  }
  return 0;
}

}  // namespace

Command ImportCommand() {
  return {
      .name = "import",
      .summary = "turn a GGUF file into a model folder",
      .usage = "runner import FILE.gguf --out DIR [--dtype float16]",
      .details =
          "Reads GGUF 2 and 3 of the architectures llama and qwen2, with weights in F32, F16, BF16,\n"
          "Q4_0 to Q8_0, Q2_K to Q6_K, IQ4_NL and IQ4_XS, and writes a folder that every other\n"
          "command accepts as a model. Of a model in several files (-00001-of-00003.gguf), name\n"
          "any. The tokenizer is made from the file's metadata.",
      .example = "runner import model-Q4_K_M.gguf --out models/model",
      .options = {TextOption("file", "FILE", "the GGUF file", {.files = true}),
                  TextOption("out", "DIR", "folder to write the model to", {.folders = true}),
                  DTypeOption("number type of the weights: float16 (default), bfloat16, float32 or "
                              "float64"),
                  Flag("json", "print JSON")},
      .positional = {"file"},
      .run = Run};
}

}  // namespace condense
