#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "base/error.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "checkpoint/filesystem_errors.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/weight_files.h"

namespace condense {

namespace fs = std::filesystem;

int64_t TensorInfo::elements() const {
  const auto count = ElementCount(shape);
  CONDENSE_CHECK(count.has_value(), "shape {}", ShapeString(shape));
  return *count;
}

struct Checkpoint::State {
  struct Entry {
    TensorInfo info;
    const StoredTensor* stored;  // in `files`
    std::shared_ptr<const MappedFile> map;
  };

  const Entry& Find(const std::string& name) const {
    const auto found = entries.find(name);
    if (found != entries.end()) return found->second;
    throw MakeError<DataError>("{}: no tensor '{}'{}", folder.string(), name,
                               SuggestName(name, names));
  }

  fs::path folder;
  std::vector<WeightFile> files;
  std::unordered_map<std::string, Entry> entries;
  std::vector<std::string> names;
  std::once_flag digest_once;
  std::string digest;
};

Checkpoint::Checkpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

Checkpoint Checkpoint::Open(const fs::path& folder) {
  auto state = std::make_unique<State>();
  state->folder = folder;
  state->files = WithDataErrors([&] { return OpenWeightFiles(folder); });
  for (const WeightFile& file : state->files) {
    for (const StoredTensor& tensor : file.tensors) {
      const TensorInfo info{tensor.dtype, tensor.shape, file.map->path()};
      const bool added = state->entries.try_emplace(tensor.name, info, &tensor, file.map).second;
      CONDENSE_CHECK(added, "the readers let '{}' through twice", tensor.name);
      state->names.push_back(tensor.name);
    }
  }
  std::sort(state->names.begin(), state->names.end());
  return Checkpoint(std::move(state));
}

const fs::path& Checkpoint::folder() const { return state_->folder; }
const std::vector<std::string>& Checkpoint::Names() const { return state_->names; }
bool Checkpoint::Has(const std::string& name) const { return state_->entries.contains(name); }

const TensorInfo& Checkpoint::Info(const std::string& name) const {
  return state_->Find(name).info;
}

Tensor Checkpoint::Get(const std::string& name) const {
  const State::Entry& entry = state_->Find(name);
  return ViewStored(entry.map, *entry.stored);
}

Tensor Checkpoint::Get(const std::string& name, at::IntArrayRef shape) const {
  const TensorInfo& info = Info(name);
  if (shape != at::IntArrayRef(info.shape)) {
    throw MakeError<DataError>("{}: tensor '{}' has shape {}, expected {}", info.file.string(),
                               name, ShapeString(info.shape), ShapeString(shape));
  }
  return Get(name);
}

void Checkpoint::Release(const std::string& name) const {
  const State::Entry& entry = state_->Find(name);
  entry.map->Release(entry.stored->offset, entry.stored->bytes);
}

const std::string& Checkpoint::Digest() const {
  std::call_once(state_->digest_once, [this] {
    std::vector<fs::path> paths = Files();
    if (fs::exists(folder() / "config.json")) paths.push_back(folder() / "config.json");
    std::sort(paths.begin(), paths.end());
    Sha256 all;  // of the hexadecimal digests, one after the other
    for (const fs::path& path : paths) all.Update(Sha256File(path));
    state_->digest = all.Finish();
  });
  return state_->digest;
}

uint64_t Checkpoint::FileBytes() const {
  uint64_t bytes = 0;
  for (const WeightFile& file : state_->files) bytes += file.map->bytes().size();
  return bytes;
}

std::vector<fs::path> Checkpoint::Files() const {
  std::vector<fs::path> paths;
  for (const WeightFile& file : state_->files) paths.push_back(file.map->path());
  return paths;
}

}  // namespace condense
