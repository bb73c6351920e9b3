// Model folders as GGUF files, so that tests can import them again.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/json.h"
#include "support/gguf_bytes.h"

namespace condense {

inline void AddInteger(GgufBytes& file, std::string_view key, uint32_t value) {
  file.Entry(key, GgufKind::kUint32, Raw(value));
}
inline void AddText(GgufBytes& file, std::string_view key, std::string_view value) {
  file.Entry(key, GgufKind::kString, RawText(value));
}
inline void AddTexts(GgufBytes& file, std::string_view key,
                     const std::vector<std::string>& values) {
  std::string bytes = RawArray(GgufKind::kString, values.size());
  for (const std::string& value : values) bytes += RawText(value);
  file.Entry(key, GgufKind::kArray, bytes);
}
template <class T>
void AddNumbers(GgufBytes& file, std::string_view key, GgufKind kind,
                const std::vector<T>& values) {
  std::string bytes = RawArray(kind, values.size());
  for (const T value : values) bytes += Raw(value);
  file.Entry(key, GgufKind::kArray, bytes);
}

// Appends a tensor as F32.
inline void AddTensor(GgufBytes& file, const std::string& name, const at::Tensor& tensor) {
  const at::Tensor stored = tensor.to(at::kFloat).contiguous();
  const auto sizes = stored.sizes();
  file.data.resize((file.data.size() + 31) / 32 * 32, '\0');
  file.Tensor(name, {sizes.rbegin(), sizes.rend()}, /*type=*/0, file.data.size());
  file.data.append(static_cast<const char*>(stored.data_ptr()), stored.nbytes());
}

// The rows of queries or keys with the coordinates of a rotary pair side by side.
inline at::Tensor WithPairsTogether(const at::Tensor& rows, int64_t heads) {
  return rows.reshape({heads, 2, rows.size(0) / heads / 2, -1})
      .transpose(1, 2)
      .reshape(rows.sizes());
}

// Weights and sizes of a LLaMA folder, without a tokenizer.
inline GgufBytes GgufOfFolder(const std::filesystem::path& folder) {
  const auto config = ReadJson(folder / "config.json");
  const auto number = [&](const char* key) { return config.at(key).get<uint32_t>(); };
  GgufBytes file;
  AddText(file, "general.architecture", "llama");
  AddInteger(file, "llama.context_length", number("max_position_embeddings"));
  AddInteger(file, "llama.embedding_length", number("hidden_size"));
  AddInteger(file, "llama.feed_forward_length", number("intermediate_size"));
  AddInteger(file, "llama.block_count", number("num_hidden_layers"));
  AddInteger(file, "llama.attention.head_count", number("num_attention_heads"));
  AddInteger(file, "llama.attention.head_count_kv", number("num_key_value_heads"));
  file.Entry("llama.attention.layer_norm_rms_epsilon", GgufKind::kFloat32,
             Raw(config.at("rms_norm_eps").get<float>()));
  file.Entry("llama.rope.freq_base", GgufKind::kFloat32, Raw(config.at("rope_theta").get<float>()));

  const Checkpoint weights = Checkpoint::Open(folder);
  const auto add = [&](const std::string& name, const std::string& from, int64_t heads = 0) {
    const at::Tensor tensor = weights.Get(from + ".weight");
    AddTensor(file, name + ".weight", heads > 0 ? WithPairsTogether(tensor, heads) : tensor);
  };
  add("token_embd", "model.embed_tokens");
  for (uint32_t l = 0; l < number("num_hidden_layers"); ++l) {
    const std::string from = fmt::format("model.layers.{}.", l), to = fmt::format("blk.{}.", l);
    add(to + "attn_norm", from + "input_layernorm");
    add(to + "ffn_norm", from + "post_attention_layernorm");
    add(to + "attn_q", from + "self_attn.q_proj", number("num_attention_heads"));
    add(to + "attn_k", from + "self_attn.k_proj", number("num_key_value_heads"));
    add(to + "attn_v", from + "self_attn.v_proj");
    add(to + "attn_output", from + "self_attn.o_proj");
    for (const char* part : {"gate", "up", "down"}) {
      add(fmt::format("{}ffn_{}", to, part), fmt::format("{}mlp.{}_proj", from, part));
    }
  }
  add("output_norm", "model.norm");
  if (weights.Has("lm_head.weight")) add("output", "lm_head");
  return file;
}

// The vocabulary of a SentencePiece-like tokenizer: single letters with numbers, no text.
inline void AddNumberedVocabulary(GgufBytes& file, size_t size) {
  std::vector<std::string> tokens{"<unk>", "<s>", "</s>"};
  std::vector<int32_t> types{2, 3, 3};
  for (size_t id = 3; id < size; ++id) {
    tokens.push_back(fmt::format("t{}", id));
    types.push_back(1);
  }
  AddText(file, "tokenizer.ggml.model", "llama");
  AddTexts(file, "tokenizer.ggml.tokens", tokens);
  AddNumbers(file, "tokenizer.ggml.token_type", GgufKind::kInt32, types);
  AddNumbers(file, "tokenizer.ggml.scores", GgufKind::kFloat32, std::vector<float>(size));
  AddInteger(file, "tokenizer.ggml.unknown_token_id", 0);
  AddInteger(file, "tokenizer.ggml.bos_token_id", 1);
  AddInteger(file, "tokenizer.ggml.eos_token_id", 2);
}

}  // namespace condense
