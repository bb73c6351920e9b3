// Mistral: LLaMA's blocks, in which a query sees a window of tokens.
#include "config/registry.h"
#include "model/stored/families/common.h"

namespace condense {
namespace {

class Mistral final : public ModelFamily {
 public:
  std::vector<std::string> ModelTypes() const override { return {"mistral"}; }

  ModelConfig Parse(const nlohmann::json& json, const std::string& file) const override {
    const JsonReader reader(json, file);
    ModelConfig config = WithUniformLayers(
        reader, {}, ParseLlamaLike(reader, "mistral", {.max_positions = 4096 * 32, .kv_heads = 8}));
    // Null says that there is no window; a file without the key has the one of the first release.
    int64_t window = 0;
    if (!json.contains("sliding_window")) window = 4096;
    if (reader.Has("sliding_window")) window = reader.Size("sliding_window");
    for (LayerConfig& layer : config.layers) layer.window = window;
    return config;
  }

  const WeightNames& Names() const override {
    static const WeightNames names = LlamaNames();
    return names;
  }
};

CONDENSE_REGISTER(ModelFamily, Mistral, "mistral", 1, "Mistral 7B and what is built like it");

}  // namespace
}  // namespace condense
