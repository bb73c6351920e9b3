#include "model/stored/gguf/gguf_import.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/gguf/gguf_file.h"
#include "model/stored/block_tensors.h"
#include "model/stored/family.h"
#include "model/stored/gguf/gguf_config.h"
#include "model/stored/gguf/gguf_tokenizer.h"

namespace condense {
namespace {

namespace fs = std::filesystem;

// The names of the architectures llama and qwen2 in GGUF.
WeightNames GgufNames() {
  return {.prefixes = {""},
          .token_embedding = "token_embd",
          .position_embedding = "",
          .final_norm = "output_norm",
          .head = "output",
          .block = "blk.{}.",
          .norm1 = "attn_norm",
          .norm2 = "ffn_norm",
          .linears = {{Role::kQuery, "attn_q"},
                      {Role::kKey, "attn_k"},
                      {Role::kValue, "attn_v"},
                      {Role::kOutput, "attn_output"},
                      {Role::kGate, "ffn_gate"},
                      {Role::kUp, "ffn_up"},
                      {Role::kDown, "ffn_down"}},
          .ignored = {"rope_freqs.weight", "attn_rot_embd.weight"}};
}

struct Move {
  std::string from, to;
  std::vector<int64_t> shape;
  // Of a query or key map whose rows have to be put back in order.
  std::optional<int64_t> interleaved_heads;
};

std::vector<Move> MovesOf(const ModelConfig& config, const WeightNames& target, bool interleaved) {
  const WeightNames source = GgufNames();
  const std::string& prefix = target.prefixes.front();
  std::vector<Move> moves{{.from = source.token_embedding + ".weight",
                           .to = prefix + target.token_embedding + ".weight",
                           .shape = {config.vocab_size, config.embedding_width}}};
  for (int64_t l = 0; l < config.num_layers(); ++l) {
    const LayerConfig& layer = config.layers[static_cast<size_t>(l)];
    Block block = EmptyBlock(config, layer);
    block.ForEachTensor([&](const std::string& role_name, Tensor&) {
      const auto shape = ExpectedShape(config, layer, role_name);
      if (!shape) return;
      Move move{.from = BlockTensorName(source, "", l, role_name),
                .to = BlockTensorName(target, prefix, l, role_name),
                .shape = *shape};
      if (interleaved && role_name.starts_with("attention.q.")) {
        move.interleaved_heads = config.num_heads;
      } else if (interleaved && role_name.starts_with("attention.k.")) {
        move.interleaved_heads = config.num_kv_heads;
      }
      moves.push_back(std::move(move));
    });
  }
  moves.push_back({.from = source.final_norm + ".weight",
                   .to = prefix + target.final_norm + ".weight",
                   .shape = {config.head_width}});
  if (!config.tied_head) {
    moves.push_back({.from = source.head + ".weight",
                     .to = target.head + ".weight",
                     .shape = {config.vocab_size, config.head_width}});
  }
  return moves;
}

// Every tensor that the model needs is there in its shape, and no other is.
void RequireSameTensors(const GgufFile& file, const std::vector<Move>& moves) {
  const std::string path = file.files().front().string();
  std::set<std::string> used;
  for (const Move& move : moves) {
    if (!file.Has(move.from)) {
      throw MakeError<DataError>(
          "{}: lacks the tensor '{}', which its metadata ask for; it is not a whole model, or of an "
          "architecture that is not supported",
          path, move.from);
    }
    if (const auto& shape = file.Info(move.from).shape; shape != move.shape) {
      throw MakeError<DataError>("{}: tensor '{}' is {}, but the metadata ask for {}", path,
                                 move.from, ShapeString(shape), ShapeString(move.shape));
    }
    used.insert(move.from);
  }
  const WeightNames names = GgufNames();
  for (const std::string& name : file.Names()) {
    const bool ignored =
        std::any_of(names.ignored.begin(), names.ignored.end(),
                    [&](const std::string& ending) { return EndsWith(name, ending); });
    if (ignored || used.contains(name)) continue;
    throw MakeError<DataError>(
        "{}: the tensor '{}' is not part of the model that the metadata describe; this variant is "
        "not supported",
        path, name);
  }
}

// [heads * 2 pairs, ...]: rows (pair, half) of each head become (half, pair).
Tensor WithHalvesApart(const Tensor& rows, int64_t heads) {
  const int64_t pairs = rows.size(0) / heads / 2;
  return rows.reshape({heads, pairs, 2, -1}).transpose(1, 2).reshape(rows.sizes());
}

Tensor Converted(const GgufFile& file, const Move& move, DType dtype) {
  Tensor tensor = file.Get(move.from);
  if (move.interleaved_heads) tensor = WithHalvesApart(tensor, *move.interleaved_heads);
  const Tensor rounded = tensor.to(dtype);
  if (at::isfinite(rounded).all().item<bool>()) return rounded.contiguous();
  if (!at::isfinite(tensor).all().item<bool>()) {
    throw MakeError<DataError>("{}: tensor '{}' has values that are not finite; it is damaged",
                               file.FileOf(move.from).string(), move.from);
  }
  throw MakeError<DataError>(
      "{}: tensor '{}' has values up to {}, too large for {}; choose bfloat16 or float32",
      file.FileOf(move.from).string(), move.from, tensor.abs().max().item<float>(),
      DTypeName(dtype));
}

}  // namespace

ImportedModel ImportGguf(const fs::path& file, const fs::path& folder, DType dtype) {
  std::error_code ignored;
  if (fs::exists(folder, ignored) &&
      !(fs::is_directory(folder, ignored) && fs::is_empty(folder, ignored))) {
    throw MakeError<ConfigError>("{}: is there already; name another folder, or remove it",
                                 folder.string());
  }
  const GgufFile source = GgufFile::Open(file);
  nlohmann::json json = ConfigOfGguf(source);
  json["torch_dtype"] = DTypeName(dtype);
  const ModelFamily& family = FamilyOf(json, file.string());
  const ModelConfig config = family.Parse(json, file.string());
  const std::vector<Move> moves = MovesOf(config, family.Names(), HasInterleavedPairs(source));
  RequireSameTensors(source, moves);
  const auto tokenizer = TokenizerOfGguf(source, config.vocab_size);
  const auto generation = nlohmann::json::parse(tokenizer.at("generation_config.json"));
  json.update(generation);  // the ids of BOS and EOS

  ImportedModel imported{.vocab_size = config.vocab_size};
  CheckpointWriter writer(folder);
  for (const Move& move : moves) {
    const Tensor tensor = Converted(source, move, dtype);
    source.Release(move.from);
    writer.Add(move.to, tensor);
    imported.parameters += tensor.numel();
    imported.weight_bytes += tensor.nbytes();
  }
  writer.AddFile("config.json", json.dump(2) + "\n");
  for (const auto& [name, bytes] : tokenizer) writer.AddFile(name, bytes);
  writer.Finish();
  return imported;
}

}  // namespace condense
