#include "model/stored/gguf/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/strings.h"

namespace condense {
namespace {

using Json = nlohmann::json;

const std::vector<std::string>& Architectures() {
  static const std::vector<std::string> names{"llama", "qwen2"};
  return names;
}

// The keys of a file's architecture: "llama.block_count" is Integer("block_count").
class Keys {
 public:
  explicit Keys(const GgufFile& file)
      : metadata_(file.metadata()), path_(file.files().front().string()) {
    architecture_ = Require(metadata_.String("general.architecture"), "general.architecture");
    const auto& known = Architectures();
    if (std::find(known.begin(), known.end(), architecture_) == known.end()) {
      throw MakeError<DataError>("{}: general.architecture '{}' is not supported; supported: {}",
                                 path_, architecture_, Join(known, ", "));
    }
  }

  const std::string& architecture() const { return architecture_; }
  const std::string& path() const { return path_; }
  std::string Full(const char* key) const { return fmt::format("{}.{}", architecture_, key); }
  bool Has(const char* key) const { return metadata_.Find(Full(key)) != nullptr; }

  int64_t Integer(const char* key) const {
    return Require(metadata_.Integer(Full(key)), Full(key));
  }
  int64_t Integer(const char* key, int64_t absent) const {
    return metadata_.Integer(Full(key)).value_or(absent);
  }
  // A float32 as the decimal that it was made from: 1e-05 and not 9.99999974737875e-06.
  double Number(const char* key) const {
    const std::string full = Full(key);
    const double number = Require(metadata_.Number(full), full);
    if (metadata_.Find(full)->kind != GgufKind::kFloat32) return number;
    return std::stod(fmt::format("{}", static_cast<float>(number)));
  }
  double Number(const char* key, double absent) const { return Has(key) ? Number(key) : absent; }
  std::string Text(const char* key, const char* absent) const {
    return std::string(metadata_.String(Full(key)).value_or(absent));
  }

 private:
  template <class T>
  std::decay_t<T> Require(const std::optional<T>& value, const std::string& key) const {
    if (value) return *value;
    throw MakeError<DataError>("{}: the metadata lack '{}'", path_, key);
  }

  const GgufMetadata& metadata_;
  std::string path_, architecture_;
};

void RefuseVariants(const Keys& keys, int64_t positions) {
  if (keys.Integer("expert_count", 0) > 0) {
    throw MakeError<DataError>("{}: {} is {}; models of several experts are not supported",
                               keys.path(), keys.Full("expert_count"),
                               keys.Integer("expert_count"));
  }
  const int64_t window = keys.Integer("attention.sliding_window", 0);
  if (window > 0 && window < positions) {
    throw MakeError<DataError>("{}: {} is {}, below {} positions; a window is not supported",
                               keys.path(), keys.Full("attention.sliding_window"), window,
                               positions);
  }
}

// LLaMA-3.1 divides its rotary frequencies by factors that depend on the wavelength. A GGUF file has
// the factors, a config.json what they are made from. All released models share but one number of
// it: the largest factor.
Json Llama3Scaling(const std::vector<float>& factors, double theta, const Keys& keys) {
  constexpr double kLow = 1, kHigh = 4, kPositions = 8192;
  const double factor = *std::max_element(factors.begin(), factors.end());
  for (size_t pair = 0; pair < factors.size(); ++pair) {
    const double exponent = static_cast<double>(pair) / static_cast<double>(factors.size());
    const double turns = kPositions / (2 * std::numbers::pi * std::pow(theta, exponent));
    const double smooth = std::clamp((turns - kLow) / (kHigh - kLow), 0.0, 1.0);
    const double expected = 1 / ((1 - smooth) / factor + smooth);
    if (std::abs(factors[pair] - expected) <= 1e-4 * expected) continue;
    throw MakeError<DataError>(
        "{}: rope_freqs.weight divides the frequency of pair {} by {}, LLaMA-3.1 by {}; other "
        "scalings are not supported",
        keys.path(), pair, factors[pair], expected);
  }
  return {{"rope_type", "llama3"},
          {"factor", factor},
          {"low_freq_factor", kLow},
          {"high_freq_factor", kHigh},
          {"original_max_position_embeddings", static_cast<int64_t>(kPositions)}};
}

// What YaRN has beside its factor.
void AddYarn(const Keys& keys, Json& scaling) {
  if (const char* key = "rope.scaling.original_context_length"; keys.Has(key)) {
    scaling["original_max_position_embeddings"] = keys.Integer(key);
  }
  for (const char* key : {"rope.scaling.yarn_log_multiplier", "rope.scaling.attn_factor"}) {
    if (!keys.Has(key)) continue;
    throw MakeError<DataError>(
        "{}: {} is {}; yarn with another attention factor than its own is not supported",
        keys.path(), keys.Full(key), keys.Number(key));
  }
}

// null for none.
Json ScalingOf(const GgufFile& file, const Keys& keys, double theta) {
  if (file.Has("rope_freqs.weight")) {
    const Tensor stored = file.Get("rope_freqs.weight");
    const float* first = stored.data_ptr<float>();
    const std::vector<float> factors(first, first + stored.numel());
    if (factors.empty()) {
      throw MakeError<DataError>("{}: rope_freqs.weight is empty", keys.path());
    }
    return Llama3Scaling(factors, theta, keys);
  }
  const std::string type = keys.Text("rope.scaling.type", "none");
  if (type == "none" && !keys.Has("rope.scale_linear")) return nullptr;
  if (type == "linear" || type == "yarn") {
    Json scaling = {{"rope_type", type}, {"factor", keys.Number("rope.scaling.factor")}};
    if (type == "yarn") AddYarn(keys, scaling);
    return scaling;
  }
  throw MakeError<DataError>(
      "{}: {} '{}' is not supported; supported: none, linear, yarn, and LLaMA-3.1's "
      "rope_freqs.weight",
      keys.path(), keys.Full("rope.scaling.type"), type);
}

}  // namespace

Json ConfigOfGguf(const GgufFile& file) {
  const Keys keys(file);
  const int64_t positions = keys.Integer("context_length");
  RefuseVariants(keys, positions);
  const int64_t heads = keys.Integer("attention.head_count");
  const double theta = keys.Number("rope.freq_base", 10000.0);
  const bool llama = keys.architecture() == "llama";
  Json config = {
      {"architectures", Json::array({llama ? "LlamaForCausalLM" : "Qwen2ForCausalLM"})},
      {"model_type", keys.architecture()},
      {"hidden_size", keys.Integer("embedding_length")},
      {"intermediate_size", keys.Integer("feed_forward_length")},
      {"num_hidden_layers", keys.Integer("block_count")},
      {"num_attention_heads", heads},
      {"num_key_value_heads", keys.Integer("attention.head_count_kv", heads)},
      {"max_position_embeddings", positions},
      {"hidden_act", "silu"},
      {"rms_norm_eps", keys.Number("attention.layer_norm_rms_epsilon")},
      {"rope_theta", theta},
      {"rope_scaling", ScalingOf(file, keys, theta)},
      {"tie_word_embeddings", !file.Has("output.weight")},
  };
  if (llama) {
    config["attention_bias"] = file.Has("blk.0.attn_q.bias");
    config["mlp_bias"] = file.Has("blk.0.ffn_up.bias");
  }
  const bool whole_heads = heads > 0 && config["hidden_size"].get<int64_t>() % heads == 0;
  const int64_t implied = whole_heads ? config["hidden_size"].get<int64_t>() / heads : 0;
  const int64_t head = keys.Integer("attention.key_length", implied);
  if (head != implied) config["head_dim"] = head;
  for (const char* key : {"attention.value_length", "rope.dimension_count"}) {
    if (const int64_t width = keys.Integer(key, head); width != head) {
      throw MakeError<DataError>("{}: {} is {}, but a head is {} wide; this is not supported",
                                 keys.path(), keys.Full(key), width, head);
    }
  }
  const std::vector<int64_t> table =
      file.Has("token_embd.weight") ? file.Info("token_embd.weight").shape : std::vector<int64_t>{};
  if (table.size() != 2) {
    throw MakeError<DataError>("{}: expected a tensor 'token_embd.weight' of two dimensions, {}",
                               keys.path(),
                               table.empty() ? "there is none" : "found " + ShapeString(table));
  }
  config["vocab_size"] = table[0];
  return config;
}

bool HasInterleavedPairs(const GgufFile& file) { return Keys(file).architecture() == "llama"; }

}  // namespace condense
