#include "model/stored/checkpoint_sink.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "checkpoint/checkpoint_writer.h"
#include "model/stored/block_tensors.h"
#include "model/stored/compressed_config.h"
#include "model/stored/family.h"
#include "model/stored/gguf/gguf_model.h"
#include "model/stored/stored_files.h"

namespace condense {
namespace {

constexpr const char* kProvenanceFile = "provenance.json";

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

// The tokenizer of a model in a GGUF file.
std::map<std::string, std::string> MadeFiles(const CheckpointModel& dense) {
  const auto gguf = GgufFileOf(dense.folder());
  if (!gguf) return {};
  auto files = TokenizerFilesOfGguf(*gguf);
  files.erase("config.json");
  return files;
}

}  // namespace

struct CheckpointSink::State {
  CheckpointWriter writer;
  Options options;
  nlohmann::json json;
  const WeightNames* names;
  std::string prefix;
  std::vector<std::filesystem::path> tokenizer_files;
  std::map<std::string, std::string> made_files;  // of the tokenizer, where no file has them
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
                       .made_files = MadeFiles(dense),
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
  DescribeCompressed(config, *state_->names, state_->json);
  state_->writer.AddFile("config.json", state_->json.dump(2) + "\n");
  state_->writer.AddFile(kProvenanceFile, state_->options.provenance_json + "\n");
  for (const auto& file : state_->tokenizer_files) state_->writer.CopyFile(file);
  for (const auto& [name, bytes] : state_->made_files) state_->writer.AddFile(name, bytes);
  state_->writer.Finish();
}

}  // namespace condense
