// Files of token ids made by other programs: raw little-endian integers (.bin) and NumPy arrays
// (.npy).
//
// Every size, type and id is checked before it is used; failures are DataErrors with the file, the
// place, what was found and what was expected.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace condense {

enum class IdsType { kUint16, kInt32 };  // of a .bin file; an .npy file states its own

// "uint16" or "int32"; ConfigError for another name.
IdsType ParseIdsType(std::string_view name);

struct IdsFile {
  std::vector<TokenId> ids;  // row after row
  int64_t total = 0;         // ids in the file, read or not
  int64_t columns = 0;       // of a two-dimensional array; 0 for one dimension and for .bin
  std::string sha256;        // of the file
};

struct IdsFileOptions {
  IdsType type = IdsType::kUint16;
  int64_t vocabulary = 0;          // ids must be below it; 0: not checked
  std::optional<int64_t> at_most;  // read no more ids than this
};

IdsFile ReadIdsFile(const std::filesystem::path& path, const IdsFileOptions& options);

// SHA-256 over the ids as little-endian 32-bit integers.
std::string IdsSha256(const std::vector<TokenId>& ids);

}  // namespace condense
