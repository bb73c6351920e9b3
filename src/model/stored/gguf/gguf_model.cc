#include "model/stored/gguf/gguf_model.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "model/stored/block_tensors.h"
#include "model/stored/family.h"
#include "model/stored/gguf/gguf_config.h"
#include "model/stored/gguf/gguf_tokenizer.h"

namespace condense {
namespace {

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

// [heads * 2 pairs, ...]: rows (pair, half) of each head become (half, pair).
Tensor WithHalvesApart(const Tensor& rows, int64_t heads) {
  const int64_t pairs = rows.size(0) / heads / 2;
  return rows.reshape({heads, pairs, 2, -1}).transpose(1, 2).reshape(rows.sizes());
}

nlohmann::json ConfigWithIds(const GgufFile& file, DType dtype) {
  nlohmann::json config = ConfigOfGguf(file);
  config["torch_dtype"] = DTypeName(dtype);
  config.update(SpecialIdsOfGguf(file, config.at("vocab_size").get<int64_t>()));
  return config;
}

}  // namespace

GgufModel::GgufModel(const std::filesystem::path& file, DType dtype)
    : file_(GgufFile::Open(file)), config_(ConfigWithIds(file_, dtype)), dtype_(dtype) {
  AddMoves();
  RequireSameTensors();
  for (const auto& [name, move] : moves_) names_.push_back(name);
}

void GgufModel::AddMoves() {
  const std::string path = file_.files().front().string();
  const ModelFamily& family = FamilyOf(config_, path);
  const ModelConfig config = family.Parse(config_, path);
  const bool interleaved = HasInterleavedPairs(file_);
  const WeightNames source = GgufNames();
  const WeightNames& target = family.Names();
  const std::string& prefix = target.prefixes.front();
  vocab_size_ = config.vocab_size;
  const auto add = [&](std::string from, std::string to, std::vector<int64_t> shape,
                       std::optional<int64_t> heads = std::nullopt) {
    in_order_.push_back(to);
    const auto in = file_.Has(from) ? file_.FileOf(from) : file_.files().front();
    moves_.emplace(
        std::move(to),
        Move{std::move(from), {.dtype = dtype_, .shape = std::move(shape), .file = in}, heads});
  };
  add(source.token_embedding + ".weight", prefix + target.token_embedding + ".weight",
      {config.vocab_size, config.embedding_width});
  for (int64_t l = 0; l < config.num_layers(); ++l) {
    const LayerConfig& layer = config.layers[static_cast<size_t>(l)];
    Block block = EmptyBlock(config, layer);
    block.ForEachTensor([&](const std::string& role_name, Tensor&) {
      const auto shape = ExpectedShape(config, layer, role_name);
      if (!shape) return;
      std::optional<int64_t> heads;
      if (interleaved && role_name.starts_with("attention.q.")) heads = config.num_heads;
      if (interleaved && role_name.starts_with("attention.k.")) heads = config.num_kv_heads;
      add(BlockTensorName(source, "", l, role_name), BlockTensorName(target, prefix, l, role_name),
          *shape, heads);
    });
  }
  add(source.final_norm + ".weight", prefix + target.final_norm + ".weight", {config.head_width});
  if (!config.tied_head) {
    add(source.head + ".weight", target.head + ".weight", {config.vocab_size, config.head_width});
  }
}

// Every tensor that the model needs is there in its shape, and no other is.
void GgufModel::RequireSameTensors() const {
  const std::string path = file_.files().front().string();
  std::set<std::string> used;
  for (const std::string& name : in_order_) {
    const Move& move = moves_.at(name);
    if (!file_.Has(move.from)) {
      throw MakeError<DataError>(
          "{}: lacks the tensor '{}', which its metadata ask for; it is not a whole model, or of an "
          "architecture that is not supported",
          path, move.from);
    }
    if (const auto& shape = file_.Info(move.from).shape; shape != move.info.shape) {
      throw MakeError<DataError>("{}: tensor '{}' is {}, but the metadata ask for {}", path,
                                 move.from, ShapeString(shape), ShapeString(move.info.shape));
    }
    used.insert(move.from);
  }
  const WeightNames names = GgufNames();
  for (const std::string& name : file_.Names()) {
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

const GgufModel::Move& GgufModel::Find(const std::string& name) const {
  const auto found = moves_.find(name);
  if (found != moves_.end()) return found->second;
  throw MakeError<DataError>("{}: no tensor '{}'{}", file_.files().front().string(), name,
                             SuggestName(name, names_));
}

Tensor GgufModel::Get(const std::string& name, at::IntArrayRef shape) const {
  const Move& move = Find(name);
  if (shape != at::IntArrayRef(move.info.shape)) {
    throw MakeError<DataError>("{}: tensor '{}' has shape {}, expected {}", move.info.file.string(),
                               move.from, ShapeString(move.info.shape), ShapeString(shape));
  }
  Tensor tensor = file_.Get(move.from);
  file_.Release(move.from);
  if (move.interleaved_heads) tensor = WithHalvesApart(tensor, *move.interleaved_heads);
  const Tensor rounded = tensor.to(dtype_);
  if (at::isfinite(rounded).all().item<bool>()) return rounded.contiguous();
  if (!at::isfinite(tensor).all().item<bool>()) {
    throw MakeError<DataError>("{}: tensor '{}' has values that are not finite; it is damaged",
                               move.info.file.string(), move.from);
  }
  throw MakeError<DataError>(
      "{}: tensor '{}' has values up to {}, too large for {}; make a folder of another number type "
      "of it: runner import FILE --out DIR --dtype bfloat16 or float32",
      move.info.file.string(), move.from, tensor.abs().max().item<float>(), DTypeName(dtype_));
}

const std::string& GgufModel::Digest() const {
  std::call_once(digest_once_, [this] {
    Sha256 all;
    for (const auto& file : file_.files()) all.Update(Sha256File(file));
    digest_ = all.Update(config_.dump()).Finish();
  });
  return digest_;
}

std::map<std::string, std::string> GgufModel::TokenizerFiles() const {
  return TokenizerOfGguf(file_, vocab_size_);
}

OpenedModel OpenGguf(const std::filesystem::path& file) {
  auto model = std::make_unique<GgufModel>(file, kF16);
  nlohmann::json config = model->config();
  return {std::move(config), file.string(), std::move(model)};
}

std::map<std::string, std::string> TokenizerFilesOfGguf(const std::filesystem::path& file) {
  const GgufModel model(file, kF16);
  auto files = model.TokenizerFiles();
  files["config.json"] = model.config().dump(2) + "\n";
  return files;
}

}  // namespace condense
