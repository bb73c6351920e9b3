#include "data/text/ids_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "data/text/npy_header.h"

namespace condense {
namespace {

// `bytes` holds `count` little-endian integers of `width` bytes from `offset` on.
struct IntegerRun {
  std::string_view bytes;
  int64_t count = 0;
  int width = 2;
  bool is_signed = false;
};

int64_t IntegerAt(const IntegerRun& run, int64_t index) {
  uint64_t value = 0;
  const char* at = run.bytes.data() + index * run.width;
  std::memcpy(&value, at, static_cast<size_t>(run.width));
  if (!run.is_signed || run.width == 8) return static_cast<int64_t>(value);
  const int unused = 64 - 8 * run.width;
  return static_cast<int64_t>(value << unused) >> unused;
}

std::vector<TokenId> CheckedIds(const IntegerRun& run, const IdsFileOptions& options,
                                const std::filesystem::path& path) {
  const int64_t limit =
      options.vocabulary > 0 ? options.vocabulary : std::numeric_limits<TokenId>::max();
  const int64_t count = std::min(run.count, options.at_most.value_or(run.count));
  std::vector<TokenId> ids(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t id = IntegerAt(run, i);
    if (id < 0 || id >= limit) {
      throw MakeError<DataError>(
          "{}: id {} at position {} is outside the vocabulary of {} ids; were the ids made with "
          "another tokenizer or written as another integer type?",
          path.string(), id, i, limit);
    }
    ids[static_cast<size_t>(i)] = static_cast<TokenId>(id);
  }
  return ids;
}

IntegerRun RawIntegers(std::string_view bytes, IdsType type, const std::filesystem::path& path) {
  if (StartsWith(bytes, kNpyMagic)) {
    throw MakeError<DataError>("{}: holds a NumPy array; give the file the ending .npy",
                               path.string());
  }
  const int width = type == IdsType::kUint16 ? 2 : 4;
  if (bytes.size() % static_cast<size_t>(width) != 0) {
    throw MakeError<DataError>("{}: {} bytes are not a whole number of {} ids of {} bytes",
                               path.string(), bytes.size(),
                               type == IdsType::kUint16 ? "uint16" : "int32", width);
  }
  return {bytes, static_cast<int64_t>(bytes.size()) / width, width, type == IdsType::kInt32};
}

}  // namespace

IdsType ParseIdsType(std::string_view name) {
  if (name == "uint16") return IdsType::kUint16;
  if (name == "int32") return IdsType::kInt32;
  throw MakeError<ConfigError>("unknown type of ids '{}'{}", name,
                               SuggestName(name, {"uint16", "int32"}));
}

IdsFile ReadIdsFile(const std::filesystem::path& path, const IdsFileOptions& options) {
  const std::string ending = Lower(path.extension().string());
  if (ending != ".bin" && ending != ".npy") {
    throw MakeError<DataError>("{}: a file of ids must end in .bin (raw integers) or .npy (NumPy)",
                               path.string());
  }
  const MappedFile file(path);
  IdsFile result;
  IntegerRun run;
  if (ending == ".bin") {
    run = RawIntegers(file.bytes(), options.type, path);
  } else {
    const NpyHeader header = ParseNpyHeader(file.bytes(), path);
    run = {file.bytes().substr(header.data_offset), header.count, header.width, header.is_signed};
    result.columns = header.columns;
  }
  if (run.count == 0) throw MakeError<DataError>("{}: holds no ids", path.string());
  result.total = run.count;
  result.ids = CheckedIds(run, options, path);
  result.sha256 = Sha256Hex(file.bytes());
  return result;
}

std::string IdsSha256(const std::vector<TokenId>& ids) {
  static_assert(std::endian::native == std::endian::little);
  return Sha256Hex({reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(TokenId)});
}

}  // namespace condense
