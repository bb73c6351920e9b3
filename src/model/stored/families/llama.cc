// LLaMA-2, LLaMA-3, 3.1 and 3.2: RMSNorm, rotary positions, gated MLP, grouped keys and values.
#include "config/registry.h"
#include "model/stored/families/common.h"

namespace condense {
namespace {

class Llama final : public ModelFamily {
 public:
  std::vector<std::string> ModelTypes() const override { return {"llama"}; }

  ModelConfig Parse(const nlohmann::json& json, const std::string& file) const override {
    const JsonReader reader(json, file);
    ModelConfig config = ParseLlamaLike(reader, "llama");
    std::vector<Role> biased;
    if (reader.Get<bool>("attention_bias", false)) {
      biased = {Role::kQuery, Role::kKey, Role::kValue, Role::kOutput};
    }
    if (reader.Get<bool>("mlp_bias", false)) {
      biased.insert(biased.end(), {Role::kGate, Role::kUp, Role::kDown});
    }
    return WithUniformLayers(reader, biased, std::move(config));
  }

  const WeightNames& Names() const override {
    static const WeightNames names = LlamaNames();
    return names;
  }
};

CONDENSE_REGISTER(ModelFamily, Llama, "llama", 1, "LLaMA-2, LLaMA-3, 3.1 and 3.2");

}  // namespace
}  // namespace condense
