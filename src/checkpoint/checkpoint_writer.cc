#include "checkpoint/checkpoint_writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/filesystem_errors.h"
#include "checkpoint/json.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/staged_folder.h"

namespace condense {
namespace {

namespace fs = std::filesystem;

// Room for some thousand entries of common length; the data begins at a multiple of the page size.
constexpr uint64_t kDataBegin = uint64_t{128} << 10;

const std::map<std::string, std::string>& Metadata() {
  // Other programs refuse a file that does not say which library wrote its tensors.
  static const std::map<std::string, std::string> metadata{{"format", "pt"}};
  return metadata;
}

Tensor OnCpuInRowMajorOrder(const Tensor& tensor) {
  return tensor.detach().to(at::kCPU).contiguous();
}

void WriteBytes(AtomicFile& file, const Tensor& tensor) {
  if (tensor.nbytes() > 0) file.Write(tensor.const_data_ptr(), tensor.nbytes());
}

// An existing folder may be replaced only if it holds nothing but a checkpoint.
void RequireReplaceable(const fs::path& folder) {
  if (!fs::exists(folder)) return;
  if (!fs::is_directory(folder)) {
    throw MakeError<DataError>("{}: is a file, expected a folder to write a checkpoint to",
                               folder.string());
  }
  bool empty = true, weights = false;
  for (const auto& entry : fs::directory_iterator(folder)) {
    empty = false;
    if (entry.is_directory()) {
      throw MakeError<DataError>(
          "{}: holds the folder '{}', so it is not an earlier checkpoint and is not replaced; "
          "choose another folder",
          folder.string(), entry.path().filename().string());
    }
    const auto extension = entry.path().extension();
    weights = weights || extension == ".safetensors" || extension == ".bin";
  }
  if (!empty && !weights) {
    throw MakeError<DataError>(
        "{}: exists and holds no weights, so it is not an earlier checkpoint and is not replaced; "
        "choose another folder or remove it",
        folder.string());
  }
}

}  // namespace

struct CheckpointWriter::State {
  State(const fs::path& destination, Options given) : options(given), folder(destination) {}

  void BeginShard() {
    header.emplace(Metadata());
    file.emplace(ShardPath(shards.size()));
    file->WriteAt(0, std::string(kDataBegin, ' ').data(), kDataBegin);
    shards.emplace_back();
  }

  void EndShard() {
    if (!file) return;
    const std::string text = header->Finish(kDataBegin);
    file->WriteAt(0, text.data(), text.size());
    file->Commit();
    file.reset();
    total_bytes += header->data_bytes();
  }

  bool Fits(const std::string& entry, uint64_t bytes) const {
    return header->data_bytes() + bytes <= options.shard_bytes &&
           8 + header->SizeWith(entry) <= kDataBegin;
  }

  fs::path ShardPath(size_t index) const {
    return folder.staging() / fmt::format("shard-{}.safetensors", index);
  }

  // Gives the shards their final names and writes the index.
  void NameShards() {
    if (shards.size() == 1) {
      fs::rename(ShardPath(0), folder.staging() / "model.safetensors");
      return;
    }
    nlohmann::json map = nlohmann::json::object();
    for (size_t i = 0; i < shards.size(); ++i) {
      const auto name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
      fs::rename(ShardPath(i), folder.staging() / name);
      for (const std::string& tensor : shards[i]) map[tensor] = name;
    }
    WriteJson(folder.staging() / "model.safetensors.index.json",
              {{"metadata", {{"total_size", total_bytes}}}, {"weight_map", map}});
  }

  // Other files than weights, each once.
  fs::path NewFile(const std::string& name) {
    const bool plain = fs::path(name).filename() == name && !name.empty();
    CONDENSE_CHECK(plain, "'{}' is not the name of a file", name);
    CONDENSE_CHECK(files.insert(name).second, "the file '{}' was added before", name);
    return folder.staging() / name;
  }

  Options options;
  StagedFolder folder;
  std::optional<AtomicFile> file;  // of the shard that is being written
  std::optional<SafetensorsHeader> header;
  std::vector<std::vector<std::string>> shards;  // names of tensors
  std::set<std::string> names, files;
  uint64_t total_bytes = 0;
};

CheckpointWriter::CheckpointWriter(fs::path folder, Options options) {
  WithDataErrors([&] {
    RequireReplaceable(folder);
    state_ = std::make_unique<State>(folder, options);
  });
}

CheckpointWriter::~CheckpointWriter() = default;

void CheckpointWriter::Add(const std::string& name, const Tensor& tensor) {
  State& state = *state_;
  CONDENSE_CHECK(state.names.insert(name).second, "the tensor '{}' was added before", name);
  const Tensor rows = OnCpuInRowMajorOrder(tensor);
  if (!state.file) state.BeginShard();
  std::string entry = state.header->Entry(name, rows);
  if (!state.shards.back().empty() && !state.Fits(entry, rows.nbytes())) {
    state.EndShard();
    state.BeginShard();
    entry = state.header->Entry(name, rows);
  }
  WriteBytes(*state.file, rows);
  state.header->Add(entry, rows.nbytes());
  state.shards.back().push_back(name);
}

void CheckpointWriter::AddFile(const std::string& name, std::string_view bytes) {
  WriteFileAtomically(state_->NewFile(name), bytes);
}

void CheckpointWriter::CopyFile(const fs::path& from) {
  const MappedFile source(from);
  WriteFileAtomically(state_->NewFile(from.filename().string()), source.bytes());
}

void CheckpointWriter::Finish() {
  CONDENSE_CHECK(!state_->shards.empty(), "a checkpoint without tensors");
  WithDataErrors([this] {
    state_->EndShard();
    state_->NameShards();
    // Once more: the folder may have been created since the writer began.
    RequireReplaceable(state_->folder.destination());
    state_->folder.Commit();
  });
}

void WriteTensors(const fs::path& path, const std::map<std::string, Tensor>& tensors,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<std::pair<std::string, Tensor>> ordered;
  for (const auto& [name, tensor] : tensors)
    ordered.emplace_back(name, OnCpuInRowMajorOrder(tensor));
  // Wide elements first, so that every tensor is aligned and can be used without a copy.
  std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
    return a.second.element_size() > b.second.element_size();
  });
  SafetensorsHeader header(metadata);
  for (const auto& [name, tensor] : ordered) {
    header.Add(header.Entry(name, tensor), tensor.nbytes());
  }
  AtomicFile file(path);
  file.Write(header.Finish());
  for (const auto& [name, tensor] : ordered) WriteBytes(file, tensor);
  file.Commit();
}

std::map<std::string, Tensor> ReadTensors(const fs::path& path) {
  const auto map = std::make_shared<const MappedFile>(path);
  std::map<std::string, Tensor> tensors;
  for (const StoredTensor& stored : ReadSafetensorsHeader(*map)) {
    tensors[stored.name] = ViewStored(map, stored);
  }
  return tensors;
}

}  // namespace condense
