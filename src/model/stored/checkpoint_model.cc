#include "model/stored/checkpoint_model.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/json.h"
#include "model/stored/check.h"
#include "model/stored/compressed_config.h"
#include "model/stored/family.h"

namespace condense {
namespace {

constexpr const char* kProvenanceFile = "provenance.json";
constexpr const char* kPrefixProbe = "embed_tokens.weight";

bool IsLinearWeight(const std::string& role_name) {
  const auto linear = LinearTensorNamed(role_name);
  return linear && linear->is_weight();
}

// Of a tensor of a linear map: as ExpectedShape().
std::optional<std::vector<int64_t>> ExpectedLinearShape(const LayerConfig& layer,
                                                        const LinearTensor& tensor) {
  const LinearConfig& linear = layer.linears[tensor.role];
  const auto [out, in] = LinearShape(layer, tensor.role);
  const bool factored = linear.rank.has_value();
  const int64_t rank = linear.rank.value_or(0);
  std::vector<int64_t> shape;
  switch (tensor.part) {
    case LinearPart::kWeight:
      if (!factored) shape = {out, in};
      break;
    case LinearPart::kA:
      if (factored) shape = {rank, in};
      break;
    case LinearPart::kB:
      if (factored) shape = {out, rank};
      break;
    case LinearPart::kBias:
      if (linear.bias) shape = {out};
      break;
    case LinearPart::kScale:
      if (linear.scale) shape = {out};
      break;
  }
  if (shape.empty()) return std::nullopt;
  return shape;
}

// The shape a tensor of a block must have; absent when the block has no such tensor.
std::optional<std::vector<int64_t>> ExpectedShape(const ModelConfig& config,
                                                  const LayerConfig& layer,
                                                  const std::string& role_name) {
  if (const auto linear = LinearTensorNamed(role_name)) {
    if (linear->role == Role::kGate && !config.gated_mlp) return std::nullopt;
    return ExpectedLinearShape(layer, *linear);
  }
  if (role_name == "attention.rope_pairs") {
    if (!layer.selected_pairs) return std::nullopt;
    return std::vector<int64_t>{layer.KeyWidth() / 2};
  }
  if (role_name == "attn_shortcut") {
    if (!layer.attn_shortcut) return std::nullopt;
    return std::vector<int64_t>{layer.in_width, layer.mid_width};
  }
  if (role_name == "mlp_shortcut") {
    if (!layer.mlp_shortcut) return std::nullopt;
    return std::vector<int64_t>{layer.mid_width, layer.out_width};
  }
  // What is left are the norms.
  if (config.norm == NormKind::kPlainRms) return std::nullopt;
  if (EndsWith(role_name, ".bias") && config.norm != NormKind::kLayer) return std::nullopt;
  return std::vector<int64_t>{StartsWith(role_name, "norm1.") ? layer.in_width : layer.mid_width};
}

// An unfilled block of the right kinds, whose stored tensors are to be visited and filled.
Block EmptyBlock(const ModelConfig& config, const LayerConfig& layer) {
  Block block;
  block.source = layer.source;
  block.shares_with = layer.shares_with;
  for (Norm* norm : {&block.norm1, &block.norm2}) {
    *norm = Norm{.kind = config.norm, .eps = config.norm_eps, .divisor = config.norm_divisor};
  }
  block.attention.heads = layer.heads;
  block.attention.scale = layer.attention_scale;
  block.mlp.activation = config.activation;
  return block;
}

}  // namespace

struct CheckpointModel::State {
  Checkpoint checkpoint;
  nlohmann::json json;
  ModelConfig config;
  const WeightNames* names = nullptr;
  std::string prefix;
  LoadOptions options;
  Tensor rope_frequencies;  // shared by all blocks; undefined without RoPE

  std::string Name(int64_t position, const std::string& role_name) const {
    const LayerConfig& layer = config.layers[static_cast<size_t>(position)];
    const bool shared = layer.shares_with && IsLinearWeight(role_name);
    return BlockTensorName(*names, prefix, shared ? *layer.shares_with : position, role_name);
  }

  Tensor Load(const std::string& name, at::IntArrayRef shape) const {
    const Tensor stored = checkpoint.Get(name, shape);
    const Tensor loaded = stored.is_floating_point() ? stored.to(options.device, options.dtype)
                                                     : stored.to(options.device);
    RequireFiniteWeights(loaded, name, checkpoint.Info(name).file.string());
    // A tensor that needed no conversion still points into the map; the pages must stay then.
    if (loaded.data_ptr() != stored.data_ptr()) checkpoint.Release(name);
    return loaded;
  }

  std::string TokenName() const { return prefix + names->token_embedding + ".weight"; }
  std::string PositionName() const { return prefix + names->position_embedding + ".weight"; }
  std::vector<int64_t> TokenShape() const { return {config.vocab_size, config.embedding_width}; }
  std::vector<int64_t> PositionShape() const {
    return {config.position_rows, config.embedding_width};
  }
  std::vector<int64_t> HeadShape() const { return {config.vocab_size, config.head_width}; }
  std::string HeadName() const { return config.tied_head ? TokenName() : names->head + ".weight"; }

  // Checks every name and shape; reads headers only.
  void Validate() const {
    std::set<std::string> used;
    const std::string config_file = (checkpoint.folder() / "config.json").string();
    const auto require = [&](const std::string& name, const std::vector<int64_t>& shape,
                             bool holds_indices = false) {
      if (!checkpoint.Has(name)) {
        throw MakeError<DataError>(
            "{}: asks for the tensor '{}', which the weights lack; config.json and the weights "
            "disagree (a layer count, a bias flag?), or a shard is missing",
            config_file, name);
      }
      const TensorInfo& info = checkpoint.Info(name);
      if (at::isFloatingType(info.dtype) == holds_indices) {
        throw MakeError<DataError>("{}: tensor '{}' is stored as {}, expected {}",
                                   info.file.string(), name, DTypeName(info.dtype),
                                   holds_indices ? "integers" : "floating-point numbers");
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
      require(prefix + names->final_norm + ".weight", {config.head_width});
      if (config.norm == NormKind::kLayer) {
        require(prefix + names->final_norm + ".bias", {config.head_width});
      }
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
    if (!config.tied_head || !checkpoint.Has(name)) return;
    if (checkpoint.Info(name).shape == HeadShape() && at::equal(Load(name, HeadShape()), tokens)) {
      return;
    }
    throw MakeError<DataError>(
        "{}: tensor '{}' is not '{}', but {} says tie_word_embeddings: true; set it to false, or "
        "remove the tensor",
        checkpoint.Info(name).file.string(), name, TokenName(),
        (checkpoint.folder() / "config.json").string());
  }

  void RefuseUnused(const std::set<std::string>& used) const {
    std::vector<std::string> unused;
    for (const std::string& name : checkpoint.Names()) {
      const bool known =
          used.count(name) > 0 || name == names->head + ".weight" ||
          std::any_of(names->ignored.begin(), names->ignored.end(),
                      [&](const std::string& ending) { return EndsWith(name, ending); });
      if (!known) unused.push_back(name);
    }
    if (unused.empty()) return;
    const std::string message =
        fmt::format("{}: {} tensor(s) that the configuration does not account for, such as '{}'",
                    checkpoint.folder().string(), unused.size(), unused.front());
    // In a file that this program wrote, such a tensor means that config and weights disagree.
    if (!config.IsDense()) throw DataError(message);
    throw DataError(message +
                    "; config.json and the weights disagree (a bias flag, a layer count?)");
  }
};

CheckpointModel::CheckpointModel(std::unique_ptr<State> state) : state_(std::move(state)) {}
CheckpointModel::~CheckpointModel() = default;

std::unique_ptr<CheckpointModel> CheckpointModel::Open(const std::filesystem::path& folder,
                                                       const LoadOptions& options) {
  const auto config_path = folder / "config.json";
  if (!std::filesystem::exists(config_path)) {
    throw MakeError<DataError>(
        "{}: no config.json there; expected a model folder with config.json, weights "
        "(model.safetensors, its sharded form, or pytorch_model.bin) and a tokenizer",
        folder.string());
  }
  auto json = ReadJson(config_path);
  const ModelFamily& family = FamilyOf(json, config_path.string());
  ModelConfig config = family.Parse(json, config_path.string());
  if (json.contains("condense")) {
    config = ApplyCondenseObject(config, json.at("condense"), config_path.string());
  }
  auto state = std::unique_ptr<State>(new State{.checkpoint = Checkpoint::Open(folder),
                                                .json = std::move(json),
                                                .config = std::move(config),
                                                .names = &family.Names(),
                                                .prefix = family.Names().prefixes.front(),
                                                .options = options,
                                                .rope_frequencies = {}});
  state->rope_frequencies = RopeFrequencies(state->config, options.device);
  for (const std::string& prefix : family.Names().prefixes) {
    if (state->checkpoint.Has(prefix + kPrefixProbe)) {
      state->prefix = prefix;
      break;
    }
  }
  state->Validate();
  return std::unique_ptr<CheckpointModel>(new CheckpointModel(std::move(state)));
}

const ModelConfig& CheckpointModel::config() const { return state_->config; }
DType CheckpointModel::dtype() const { return state_->options.dtype; }
Device CheckpointModel::device() const { return state_->options.device; }
const std::string& CheckpointModel::digest() const { return state_->checkpoint.Digest(); }
const std::filesystem::path& CheckpointModel::folder() const { return state_->checkpoint.folder(); }
const nlohmann::json& CheckpointModel::json() const { return state_->json; }
uint64_t CheckpointModel::FileBytes() const { return state_->checkpoint.FileBytes(); }

std::string CheckpointModel::StoredDType() const {
  return DTypeName(state_->checkpoint.Info(state_->TokenName()).dtype);
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
                                 state_->checkpoint.folder().string(),
                                 state_->Name(position, "attention.rope_pairs"), limit - 1);
    }
  }
  return block;
}

Head CheckpointModel::LoadHead() const {
  const ModelConfig& config = state_->config;
  Head head;
  head.norm = Norm{.kind = config.norm, .eps = config.norm_eps, .divisor = config.norm_divisor};
  const std::string norm = state_->prefix + state_->names->final_norm;
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

// --- Writing -------------------------------------------------------------------------------------

namespace {

// The folder, unless writing it would destroy something that this program did not make: the model
// itself, or a checkpoint from elsewhere.
std::filesystem::path SafeDestination(const CheckpointModel& dense, std::filesystem::path folder) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  fs::path at = fs::weakly_canonical(fs::absolute(folder, ignored), ignored);
  for (;; at = at.parent_path()) {
    if (fs::equivalent(at, dense.folder(), ignored)) {
      throw MakeError<ConfigError>(
          "{}: is the folder of the model itself, or lies in it; name another folder to write to",
          folder.string());
    }
    if (at == at.parent_path()) break;
  }
  const bool filled = fs::is_directory(folder, ignored) && !fs::is_empty(folder, ignored);
  if (filled && fs::exists(folder / "config.json", ignored) &&
      !fs::exists(folder / kProvenanceFile, ignored)) {
    throw MakeError<DataError>(
        "{}: holds a model that this program did not write (it has no {}), so it is not replaced; "
        "name another folder or remove it",
        folder.string(), kProvenanceFile);
  }
  return folder;
}

}  // namespace

struct CheckpointSink::State {
  CheckpointWriter writer;
  Options options;
  nlohmann::json json;
  const WeightNames* names;
  std::string prefix;
  std::vector<std::filesystem::path> tokenizer_files;
  std::vector<LayerConfig> shapes;
  Tensor token_embedding;  // kept until the head tells whether it is tied
  bool tied = false;

  void Add(const std::string& name, const Tensor& tensor) {
    if (!tensor.defined()) return;
    Tensor stored = tensor.to(at::kCPU);
    if (stored.is_floating_point() && options.dtype) stored = stored.to(*options.dtype);
    if (stored.scalar_type() == kI64) stored = stored.to(kI32);  // index maps are stored as int32
    writer.Add(name, stored.contiguous());
  }
};

CheckpointSink::CheckpointSink(const CheckpointModel& dense, std::filesystem::path folder,
                               Options options)
    : state_(new State{.writer = CheckpointWriter(SafeDestination(dense, std::move(folder))),
                       .options = std::move(options),
                       .json = dense.json(),
                       .names = &FamilyNamed(dense.config().family).Names(),
                       .prefix = {},
                       .tokenizer_files = TokenizerFiles(dense.folder()),
                       .shapes = {},
                       .token_embedding = {}}) {
  state_->prefix = state_->names->prefixes.front();
}

CheckpointSink::~CheckpointSink() = default;

void CheckpointSink::PutEmbedding(const Embedding& embedding) {
  state_->Add(state_->prefix + state_->names->token_embedding + ".weight", embedding.tokens);
  if (embedding.positions.defined()) {
    state_->Add(state_->prefix + state_->names->position_embedding + ".weight",
                embedding.positions);
  }
  state_->token_embedding = embedding.tokens;
}

void CheckpointSink::PutBlock(int64_t position, Block block) {
  CONDENSE_CHECK(position == static_cast<int64_t>(state_->shapes.size()), "block {}", position);
  state_->shapes.push_back(ShapeOf(block));
  block.ForEachTensor([&](const std::string& role_name, Tensor& tensor) {
    if (!tensor.defined()) return;  // a family has no name for a role that it lacks
    if (block.shares_with && IsLinearWeight(role_name)) return;  // stored with the parent
    state_->Add(BlockTensorName(*state_->names, state_->prefix, position, role_name), tensor);
  });
}

void CheckpointSink::PutHead(const Head& head) {
  const std::string norm = state_->prefix + state_->names->final_norm;
  state_->Add(norm + ".weight", head.norm.weight);
  state_->Add(norm + ".bias", head.norm.bias);
  state_->tied = head.linear.weight.is_same(state_->token_embedding) ||
                 head.linear.weight.data_ptr() == state_->token_embedding.data_ptr();
  if (!state_->tied) state_->Add(state_->names->head + ".weight", head.linear.weight);
  state_->Add(state_->names->head + ".bias", head.linear.bias);
  state_->token_embedding = Tensor();
}

void CheckpointSink::Finish(const ModelConfig& config) {
  CONDENSE_CHECK(state_->shapes.size() == config.layers.size(), "{} blocks written, {} described",
                 state_->shapes.size(), config.layers.size());
  for (size_t l = 0; l < config.layers.size(); ++l) {
    CONDENSE_CHECK(state_->shapes[l] == config.layers[l], "layer {} was written in another shape",
                   l);
  }
  CONDENSE_CHECK(state_->tied == config.tied_head, "head tied: {}, described: {}", state_->tied,
                 config.tied_head);
  state_->json["condense"] = CondenseObject(config, state_->prefix);
  state_->writer.AddFile("config.json", state_->json.dump(2) + "\n");
  state_->writer.AddFile(kProvenanceFile, state_->options.provenance_json + "\n");
  for (const auto& file : state_->tokenizer_files) state_->writer.CopyFile(file);
  state_->writer.Finish();
}

std::vector<std::filesystem::path> TokenizerFiles(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const char* name :
       {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
        "vocab.json", "merges.txt", "added_tokens.json", "generation_config.json"}) {
    if (std::filesystem::exists(folder / name)) files.push_back(folder / name);
  }
  return files;
}

}  // namespace condense
