#include "model/stored/checkpoint_model.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "model/stored/block_tensors.h"
#include "model/stored/check.h"
#include "model/stored/compressed_config.h"
#include "model/stored/family.h"
#include "model/stored/foreign.h"
#include "model/stored/stored_files.h"
#include "model/stored/stored_weights.h"
#include "model/stored/tensor_names.h"

namespace condense {
struct CheckpointModel::State {
  std::filesystem::path place;
  OpenedModel opened;
  ModelConfig config;
  const WeightNames* names = nullptr;
  TensorNames stored;
  LoadOptions options;
  Tensor rope_frequencies;  // shared by all blocks; undefined without RoPE

  std::string Name(int64_t position, const std::string& role_name) const {
    const LayerConfig& layer = config.layers[static_cast<size_t>(position)];
    const bool shared = layer.shares_with && IsLinearWeight(role_name);
    return BlockTensorName(*names, stored.prefix(), shared ? *layer.shares_with : position,
                           role_name);
  }

  bool Has(const std::string& name) const { return opened.weights->Has(stored.Stored(name)); }
  const TensorInfo& Info(const std::string& name) const {
    return opened.weights->Info(stored.Stored(name));
  }

  Tensor Load(const std::string& name, at::IntArrayRef shape) const {
    const std::string& stored_name = stored.Stored(name);
    const Tensor in_file = opened.weights->Get(stored_name, shape);
    const Tensor loaded = in_file.is_floating_point() ? in_file.to(options.device, options.dtype)
                                                      : in_file.to(options.device);
    RequireFiniteWeights(loaded, stored_name, Info(name).file.string());
    // A tensor that needed no conversion still points into the map; the pages must stay then.
    if (loaded.data_ptr() != in_file.data_ptr()) opened.weights->Release(stored_name);
    return loaded;
  }

  std::string FinalNorm() const { return stored.prefix() + names->final_norm; }
  std::string TokenName() const { return stored.prefix() + names->token_embedding + ".weight"; }
  std::string PositionName() const {
    return stored.prefix() + names->position_embedding + ".weight";
  }
  std::vector<int64_t> TokenShape() const { return {config.vocab_size, config.embedding_width}; }
  std::vector<int64_t> PositionShape() const {
    return {config.position_rows, config.embedding_width};
  }
  std::vector<int64_t> HeadShape() const { return {config.vocab_size, config.head_width}; }
  std::string HeadName() const { return config.tied_head ? TokenName() : names->head + ".weight"; }

  // "; the weights are quantized ...", or `otherwise` for weights of no known kind.
  std::string Because(const std::string& otherwise) const {
    const auto foreign = ForeignWeights(opened.config, opened.weights->Names());
    return foreign ? "; " + *foreign : otherwise;
  }

  [[noreturn]] void RefuseMissing(const std::string& config_file, const std::string& name) const {
    const bool head = name == names->head + ".weight" && Has(TokenName());
    throw MakeError<DataError>(
        "{}: asks for the tensor '{}', which the weights lack{}", config_file, name,
        Because(head ? "; if the head is the token embedding, set tie_word_embeddings to true"
                     : "; config.json and the weights disagree (a layer count, a bias flag?), or a "
                       "shard is missing"));
  }

  // Checks every name and shape; reads headers only.
  void Validate() const {
    std::set<std::string> used;
    const std::string& config_file = opened.config_file;
    const auto require = [&](const std::string& name, const std::vector<int64_t>& shape,
                             bool holds_indices = false) {
      if (!Has(name)) RefuseMissing(config_file, name);
      const TensorInfo& info = Info(name);
      if (at::isFloatingType(info.dtype) == holds_indices) {
        throw MakeError<DataError>("{}: tensor '{}' is stored as {}, expected {}{}",
                                   info.file.string(), name, DTypeName(info.dtype),
                                   holds_indices ? "integers" : "floating-point numbers",
                                   Because(""));
      }
      if (info.shape != shape) {
        throw MakeError<DataError>("{}: tensor '{}' is {}, but {} asks for {}", info.file.string(),
                                   name, ShapeString(info.shape), config_file, ShapeString(shape));
      }
      used.insert(name);
    };
    require(TokenName(), TokenShape());
    if (config.position_rows > 0) require(PositionName(), PositionShape());
    require(HeadName(), HeadShape());
    if (config.head_bias) require(names->head + ".bias", {config.vocab_size});
    if (config.norm != NormKind::kPlainRms) {
      require(FinalNorm() + ".weight", {config.head_width});
      if (config.norm == NormKind::kLayer) require(FinalNorm() + ".bias", {config.head_width});
    }
    for (int64_t l = 0; l < config.num_layers(); ++l) {
      const LayerConfig& layer = config.layers[static_cast<size_t>(l)];
      Block block = EmptyBlock(config, layer);
      block.ForEachTensor([&](const std::string& role_name, Tensor&) {
        const auto shape = ExpectedShape(config, layer, role_name);
        if (shape) require(Name(l, role_name), *shape, role_name == "attention.rope_pairs");
      });
    }
    RefuseUnused(used);
  }

  // A file may hold the head of a tied model once more, but not another one.
  void RefuseUntiedHead(const Tensor& tokens) const {
    const std::string name = names->head + ".weight";
    if (!config.tied_head || !Has(name)) return;
    if (Info(name).shape == HeadShape() && at::equal(Load(name, HeadShape()), tokens)) {
      return;
    }
    throw MakeError<DataError>(
        "{}: tensor '{}' is not '{}', but {} says tie_word_embeddings: true; set it to false, or "
        "remove the tensor",
        Info(name).file.string(), name, TokenName(), opened.config_file);
  }

  void RefuseUnused(const std::set<std::string>& used) const {
    std::vector<std::string> unused;
    for (const std::string& name : stored.names()) {
      const bool known =
          used.count(name) > 0 || name == names->head + ".weight" ||
          std::any_of(names->ignored.begin(), names->ignored.end(),
                      [&](const std::string& ending) { return EndsWith(name, ending); });
      if (!known) unused.push_back(name);
    }
    if (unused.empty()) return;
    const std::string message =
        fmt::format("{}: {} tensor(s) that the configuration does not account for, such as '{}'",
                    place.string(), unused.size(), stored.Stored(unused.front()));
    // In a file that this program wrote, such a tensor means that config and weights disagree.
    if (!config.IsDense()) throw DataError(message);
    throw DataError(
        message + Because("; config.json and the weights disagree (a bias flag, a layer count?)"));
  }
};

CheckpointModel::CheckpointModel(std::unique_ptr<State> state) : state_(std::move(state)) {}
CheckpointModel::~CheckpointModel() = default;

std::unique_ptr<CheckpointModel> CheckpointModel::Open(const std::filesystem::path& folder,
                                                       const LoadOptions& options) {
  const auto gguf = GgufFileOf(folder);
  OpenedModel opened = gguf ? OpenGguf(*gguf) : OpenFolder(folder);
  const ModelFamily& family = FamilyOf(opened.config, opened.config_file);
  ModelConfig config = DescribedModel(family, opened.config, opened.config_file);
  TensorNames stored(opened.weights->Names(), family.Names(), config.tied_head, folder.string());
  auto state = std::unique_ptr<State>(new State{.place = folder,
                                                .opened = std::move(opened),
                                                .config = std::move(config),
                                                .names = &family.Names(),
                                                .stored = std::move(stored),
                                                .options = options,
                                                .rope_frequencies = {}});
  state->rope_frequencies = RopeFrequencies(state->config, options.device);
  state->Validate();
  return std::unique_ptr<CheckpointModel>(new CheckpointModel(std::move(state)));
}

const ModelConfig& CheckpointModel::config() const { return state_->config; }
DType CheckpointModel::dtype() const { return state_->options.dtype; }
Device CheckpointModel::device() const { return state_->options.device; }
const std::string& CheckpointModel::digest() const { return state_->opened.weights->Digest(); }
const std::filesystem::path& CheckpointModel::folder() const { return state_->place; }
const nlohmann::json& CheckpointModel::json() const { return state_->opened.config; }
uint64_t CheckpointModel::FileBytes() const { return state_->opened.weights->FileBytes(); }

std::string CheckpointModel::StoredDType() const {
  return DTypeName(state_->Info(state_->TokenName()).dtype);
}

Embedding CheckpointModel::LoadEmbedding() const {
  Embedding embedding;
  embedding.tokens = state_->Load(state_->TokenName(), state_->TokenShape());
  if (state_->config.position_rows > 0) {
    embedding.positions = state_->Load(state_->PositionName(), state_->PositionShape());
    embedding.offset = state_->config.position_offset;
  }
  return embedding;
}

Block CheckpointModel::LoadBlock(int64_t position) const {
  CONDENSE_CHECK(position >= 0 && position < state_->config.num_layers(), "block {}", position);
  const LayerConfig& layer = state_->config.layers[static_cast<size_t>(position)];
  Block block = EmptyBlock(state_->config, layer);
  block.attention.rope_frequencies = state_->rope_frequencies;
  block.attention.rope_stretch = StretchOf(state_->config);
  block.ForEachTensor([&](const std::string& role_name, Tensor& tensor) {
    const auto shape = ExpectedShape(state_->config, layer, role_name);
    if (shape) tensor = state_->Load(state_->Name(position, role_name), *shape);
  });
  if (block.attention.rope_pairs.defined()) {
    block.attention.rope_pairs = block.attention.rope_pairs.to(kI64);
    const Tensor& pairs = block.attention.rope_pairs;
    const int64_t limit = state_->config.head_dim / 2;
    if ((pairs < 0).logical_or(pairs >= limit).any().item<bool>()) {
      throw MakeError<DataError>("{}: tensor '{}' names a rotary pair outside 0..{}",
                                 state_->place.string(),
                                 state_->Name(position, "attention.rope_pairs"), limit - 1);
    }
  }
  return block;
}

Head CheckpointModel::LoadHead() const {
  const ModelConfig& config = state_->config;
  Head head;
  head.norm = Norm{.kind = config.norm, .eps = config.norm_eps, .divisor = config.norm_divisor};
  const std::string norm = state_->FinalNorm();
  if (config.norm != NormKind::kPlainRms) {
    head.norm.weight = state_->Load(norm + ".weight", {config.head_width});
    if (config.norm == NormKind::kLayer)
      head.norm.bias = state_->Load(norm + ".bias", {config.head_width});
  }
  head.linear.weight = state_->Load(state_->HeadName(), state_->HeadShape());
  state_->RefuseUntiedHead(head.linear.weight);
  if (config.head_bias) {
    head.linear.bias = state_->Load(state_->names->head + ".bias", {config.vocab_size});
  }
  return head;
}

}  // namespace condense
