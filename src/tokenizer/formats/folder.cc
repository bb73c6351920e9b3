#include "tokenizer/formats/folder.h"

#include "base/error.h"
#include "base/file.h"

namespace condense {

bool TokenizerFolder::Has(std::string_view name) const {
  if (files_ != nullptr) return files_->contains(std::string(name));
  std::error_code ignored;
  return std::filesystem::exists(path_ / name, ignored);
}

std::string TokenizerFolder::Peek(std::string_view name) const {
  std::string bytes = files_ != nullptr ? files_->at(std::string(name)) : ReadFile(path_ / name);
  if (bytes.starts_with("version https://git-lfs.github.com/spec/")) {
    throw MakeError<DataError>(
        "{}: this is a Git LFS pointer; fetch the file itself (git lfs pull)", PathOf(name));
  }
  return bytes;
}

std::string TokenizerFolder::Read(std::string_view name) {
  std::string bytes = Peek(name);
  Note(name, bytes);
  return bytes;
}

void TokenizerFolder::Note(std::string_view name, std::string_view bytes) {
  digest_.UpdateU64(name.size()).Update(name).UpdateU64(bytes.size()).Update(bytes);
}

JsonFile TokenizerFolder::ReadJson(std::string_view name) {
  return JsonFile(path_ / name, Read(name));
}

std::optional<JsonFile> TokenizerFolder::ReadJsonIfPresent(std::string_view name) {
  if (!Has(name)) return std::nullopt;
  return ReadJson(name);
}

std::optional<JsonFile> TokenizerFolder::PeekJsonIfPresent(std::string_view name) const {
  if (!Has(name)) return std::nullopt;
  return JsonFile(path_ / name, Peek(name));
}

}  // namespace condense
