#include "checkpoint/gguf/gguf_file.h"

#include <charconv>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "checkpoint/filesystem_errors.h"

namespace condense {
namespace {

namespace fs = std::filesystem;

// "NAME-00002-of-00003.gguf"
struct SplitName {
  std::string stem;
  int64_t number = 0, count = 0;

  std::string File(int64_t other) const {
    return fmt::format("{}-{:05}-of-{:05}.gguf", stem, other, count);
  }
};

std::optional<int64_t> FiveDigits(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.size() != 5 || error != std::errc() || end != text.data() + text.size() || number < 1) {
    return std::nullopt;
  }
  return number;
}

std::optional<SplitName> ParseSplitName(const fs::path& path) {
  constexpr std::string_view kTail = "-00001-of-00001.gguf";
  const std::string name = path.filename().string();
  if (name.size() < kTail.size()) return std::nullopt;
  const std::string_view tail = std::string_view(name).substr(name.size() - kTail.size());
  const auto number = FiveDigits(tail.substr(1, 5)), count = FiveDigits(tail.substr(10, 5));
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || tail.substr(15) != ".gguf" || !number ||
      !count || *number > *count) {
    return std::nullopt;
  }
  return SplitName{name.substr(0, name.size() - kTail.size()), *number, *count};
}

struct Part {
  std::shared_ptr<const MappedFile> map;
  GgufHeader header;
};

Part OpenPart(const fs::path& path) {
  auto map = std::make_shared<const MappedFile>(path);
  GgufHeader header = ReadGgufHeader(map);
  return {std::move(map), std::move(header)};
}

// The file and those that belong to it, in order.
std::vector<Part> OpenAll(const fs::path& path) {
  std::vector<Part> parts;
  const auto name = ParseSplitName(path);
  if (!name) {
    parts.push_back(OpenPart(path));
    const int64_t count = parts[0].header.metadata.Integer("split.count").value_or(1);
    if (count > 1) {
      throw MakeError<DataError>(
          "{}: is one of {} files (split.count); give it back the name by which the others are "
          "found, such as NAME-00001-of-{:05}.gguf",
          path.string(), count, count);
    }
    return parts;
  }
  for (const fs::path& file : GgufParts(path)) {
    if (!fs::exists(file)) {
      throw MakeError<DataError>("{}: is one of {} files, of which {} is missing", path.string(),
                                 name->count, file.filename().string());
    }
    parts.push_back(OpenPart(file));
  }
  return parts;
}

// Every file says which of how many it is, and the first how many tensors there are.
void RequireTogether(const std::vector<Part>& parts) {
  const auto count = static_cast<int64_t>(parts.size());
  int64_t tensors = 0, number = 0;
  for (const Part& part : parts) {
    const GgufMetadata& metadata = part.header.metadata;
    // A file that was never split may say nothing.
    const int64_t absent = count == 1 ? 1 : 0;
    const int64_t claimed = metadata.Integer("split.count").value_or(absent);
    const int64_t place = metadata.Integer("split.no").value_or(count == 1 ? 0 : -1);
    const bool whole = count == 1 && claimed == 0;
    if (!whole && (claimed != count || place != number)) {
      throw MakeError<DataError>(
          "{}: split.no is {} and split.count is {}, but by its name it is file {} of {} "
          "(split.no {}); it was renamed, or belongs to another model",
          part.map->path().string(), place, claimed, number + 1, count, number);
    }
    tensors += static_cast<int64_t>(part.header.tensors.size());
    ++number;
  }
  const auto expected = parts[0].header.metadata.Integer("split.tensors.count");
  if (expected && *expected != tensors) {
    throw MakeError<DataError>("{}: split.tensors.count is {}, but the {} files hold {} tensors",
                               parts[0].map->path().string(), *expected, count, tensors);
  }
}

}  // namespace

std::vector<fs::path> GgufParts(const fs::path& path) {
  const auto name = ParseSplitName(path);
  if (!name) return {path};
  std::vector<fs::path> parts;
  for (int64_t number = 1; number <= name->count; ++number) {
    parts.push_back(path.parent_path() / name->File(number));
  }
  return parts;
}

struct GgufFile::State {
  struct Entry {
    const GgufTensor* tensor;
    const MappedFile* map;
  };

  const Entry& Find(const std::string& name) const {
    const auto found = entries.find(name);
    if (found != entries.end()) return found->second;
    throw MakeError<DataError>("{}: no tensor '{}'{}", files[0].string(), name,
                               SuggestName(name, names));
  }

  std::vector<Part> parts;
  std::vector<fs::path> files;
  std::map<std::string, Entry> entries;
  std::vector<std::string> names;
};

GgufFile::GgufFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
GgufFile::GgufFile(GgufFile&&) noexcept = default;
GgufFile& GgufFile::operator=(GgufFile&&) noexcept = default;
GgufFile::~GgufFile() = default;

GgufFile GgufFile::Open(const fs::path& path) {
  auto state = std::make_unique<State>();
  state->parts = WithDataErrors([&] { return OpenAll(path); });
  RequireTogether(state->parts);
  for (const Part& part : state->parts) {
    state->files.push_back(part.map->path());
    for (const GgufTensor& tensor : part.header.tensors) {
      const auto [entry, added] =
          state->entries.try_emplace(tensor.name, State::Entry{&tensor, part.map.get()});
      if (!added) {
        throw MakeError<DataError>("{}: tensor '{}' is also in {}; a name may occur once",
                                   part.map->path().string(), tensor.name,
                                   entry->second.map->path().filename().string());
      }
    }
  }
  for (const auto& [name, entry] : state->entries) state->names.push_back(name);
  return GgufFile(std::move(state));
}

const GgufMetadata& GgufFile::metadata() const { return state_->parts[0].header.metadata; }
const std::vector<fs::path>& GgufFile::files() const { return state_->files; }
const std::vector<std::string>& GgufFile::Names() const { return state_->names; }
bool GgufFile::Has(const std::string& name) const { return state_->entries.contains(name); }

uint64_t GgufFile::FileBytes() const {
  uint64_t bytes = 0;
  for (const Part& part : state_->parts) bytes += part.map->bytes().size();
  return bytes;
}

const GgufTensor& GgufFile::Info(const std::string& name) const {
  return *state_->Find(name).tensor;
}

const fs::path& GgufFile::FileOf(const std::string& name) const {
  return state_->Find(name).map->path();
}

Tensor GgufFile::Get(const std::string& name) const {
  const auto& [tensor, map] = state_->Find(name);
  const Tensor decoded = at::empty(tensor->shape, kF32);
  if (tensor->bytes == 0) return decoded;
  const auto* blocks = reinterpret_cast<const uint8_t*>(map->bytes().data()) + tensor->offset;
  tensor->type->decode(blocks, tensor->bytes / tensor->type->block_bytes,
                       decoded.data_ptr<float>());
  return decoded;
}

void GgufFile::Release(const std::string& name) const {
  const auto& [tensor, map] = state_->Find(name);
  map->Release(tensor->offset, tensor->bytes);
}

}  // namespace condense
