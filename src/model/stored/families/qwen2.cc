// Qwen2 and Qwen2.5: LLaMA's blocks with biases on queries, keys and values. Some layers may have a
// sliding window; released models have it switched off.
#include "config/registry.h"
#include "model/stored/families/common.h"

namespace condense {
namespace {

// Of each layer: 0, or the window of those that have one.
std::vector<int64_t> Windows(const JsonReader& reader, size_t layers) {
  std::vector<int64_t> windows(layers, 0);
  if (!reader.Get<bool>("use_sliding_window", false)) return windows;
  const nlohmann::json& object = reader.object();
  if (object.contains("sliding_window") && !reader.Has("sliding_window")) return windows;
  const int64_t window = reader.Has("sliding_window") ? reader.Size("sliding_window") : 4096;
  const auto full_layers = reader.Get<int64_t>("max_window_layers", 28);
  for (size_t l = 0; l < layers; ++l) {
    if (static_cast<int64_t>(l) >= full_layers) windows[l] = window;
  }
  if (!reader.Has("layer_types")) return windows;
  // Where there is a list, it decides.
  const nlohmann::json& types = object.at("layer_types");
  if (!types.is_array() || types.size() != layers) {
    throw MakeError<DataError>(
        "{}: 'layer_types' must be a list with one entry for each of {} layers", reader.file(),
        layers);
  }
  for (size_t l = 0; l < layers; ++l) {
    if (types[l] != "sliding_attention" && types[l] != "full_attention") {
      throw MakeError<DataError>(
          "{}: 'layer_types' holds {}, expected \"full_attention\" or \"sliding_attention\"",
          reader.file(), types[l].dump());
    }
    windows[l] = types[l] == "sliding_attention" ? window : 0;
  }
  return windows;
}

class Qwen2 final : public ModelFamily {
 public:
  std::vector<std::string> ModelTypes() const override { return {"qwen2"}; }

  ModelConfig Parse(const nlohmann::json& json, const std::string& file) const override {
    const JsonReader reader(json, file);
    ModelConfig config = WithUniformLayers(
        reader, {Role::kQuery, Role::kKey, Role::kValue},
        ParseLlamaLike(reader, "qwen2", {.max_positions = 32768, .kv_heads = 32}));
    const std::vector<int64_t> windows = Windows(reader, config.layers.size());
    for (size_t l = 0; l < windows.size(); ++l) config.layers[l].window = windows[l];
    return config;
  }

  const WeightNames& Names() const override {
    static const WeightNames names = LlamaNames();
    return names;
  }
};

CONDENSE_REGISTER(ModelFamily, Qwen2, "qwen2", 1, "Qwen2 and Qwen2.5, dense");

}  // namespace
}  // namespace condense
