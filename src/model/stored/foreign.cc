#include "model/stored/foreign.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/strings.h"

namespace condense {
namespace {

constexpr const char* kUseFloats =
    "this program reads floating-point weights: use the model that was quantized, or save this one "
    "dequantized by the library that wrote it";
constexpr const char* kMergeAdapter =
    "merge it into its base model first (peft: PeftModel.merge_and_unload(), then "
    "save_pretrained())";
constexpr const char* kConvertMeta =
    "convert it with python -m transformers.models.llama.convert_llama_weights_to_hf";

struct Kind {
  std::string_view ending;
  const char* writer;
};
constexpr Kind kQuantized[] = {{".qweight", "GPTQ and AWQ"},
                               {".qzeros", "GPTQ and AWQ"},
                               {".weight.absmax", "bitsandbytes"},
                               {".SCB", "bitsandbytes"},
                               {".weight_packed", "compressed-tensors"},
                               {".weight_scale_inv", "FP8"},
                               {".weight_scale", "compressed-tensors and FP8"},
                               {".W_q", "HQQ"}};

std::string MethodOf(const nlohmann::json& quantization) {
  const auto method =
      quantization.is_object() ? quantization.find("quant_method") : quantization.end();
  if (method == quantization.end() || !method->is_string()) return "of no named method";
  return method->get<std::string>().substr(0, 80);
}

}  // namespace

std::optional<std::string> ForeignWeights(const nlohmann::json& config,
                                          const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (name.find(".lora_A.") == std::string::npos && name.find(".lora_B.") == std::string::npos) {
      continue;
    }
    return fmt::format("the weights hold an adapter (LoRA, '{}'); {}", name, kMergeAdapter);
  }
  const auto quantization = config.is_object() ? config.find("quantization_config") : config.end();
  if (quantization != config.end() && !quantization->is_null()) {
    return fmt::format("the weights are quantized (quantization_config: {}); {}",
                       MethodOf(*quantization), kUseFloats);
  }
  for (const std::string& name : names) {
    for (const Kind& kind : kQuantized) {
      if (!EndsWith(name, kind.ending)) continue;
      return fmt::format("the weights are quantized ('{}', as {} write them); {}", name,
                         kind.writer, kUseFloats);
    }
  }
  for (const std::string& name : names) {
    if (!EndsWith(name, "tok_embeddings.weight")) continue;
    return fmt::format("the weights are in Meta's own format ('{}'); {}", name, kConvertMeta);
  }
  return std::nullopt;
}

std::optional<std::string> ForeignFolder(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (fs::exists(folder / "adapter_config.json", ignored)) {
    return fmt::format("it holds an adapter (adapter_config.json), not a model; {}", kMergeAdapter);
  }
  const bool parameters = fs::exists(folder / "params.json", ignored);
  if (parameters || fs::exists(folder / "consolidated.00.pth", ignored)) {
    return fmt::format("it is in Meta's own format ({}); {}",
                       parameters ? "params.json" : "consolidated.00.pth", kConvertMeta);
  }
  return std::nullopt;
}

}  // namespace condense
