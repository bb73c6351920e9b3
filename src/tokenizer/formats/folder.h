// The folder that a tokenizer is read from, or files in memory that stand for one. Every file that is
// read enters the digest.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/sha256.h"
#include "tokenizer/json_file.h"
#include "tokenizer/tokenizer_files.h"

namespace condense {

class TokenizerFolder {
 public:
  explicit TokenizerFolder(std::filesystem::path path) : path_(std::move(path)) {}
  // `files`, contents by name, are read instead; `path` is what messages call their folder.
  TokenizerFolder(std::filesystem::path path, const TokenizerFileMap* files)
      : path_(std::move(path)), files_(files) {}

  bool Has(std::string_view name) const;
  std::string PathOf(std::string_view name) const { return (path_ / name).string(); }
  // Reads a whole file and adds it to the digest.
  std::string Read(std::string_view name);
  JsonFile ReadJson(std::string_view name);
  std::optional<JsonFile> ReadJsonIfPresent(std::string_view name);
  // Without adding it to the digest: for files that say more than what concerns the tokenizer.
  std::optional<JsonFile> PeekJsonIfPresent(std::string_view name) const;
  // Adds what such a file said to the digest.
  void Note(std::string_view what, std::string_view value);

  // Over the names, lengths and bytes of the files read, in the order of reading. Called once.
  std::string FinishDigest() { return digest_.Finish(); }

 private:
  std::string Peek(std::string_view name) const;

  std::filesystem::path path_;
  const TokenizerFileMap* files_ = nullptr;
  Sha256 digest_;
};

}  // namespace condense
