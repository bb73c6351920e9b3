#include "data/text/npy_header.h"

#include <charconv>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/strings.h"

namespace condense {
namespace {

DataError Malformed(const std::filesystem::path& path, std::string_view what) {
  return MakeError<DataError>("{}: not a usable .npy file: {}", path.string(), what);
}

// The text after 'key': in the header's Python dictionary, without leading blanks.
std::string_view ValueOf(std::string_view dictionary, std::string_view key,
                         const std::filesystem::path& path) {
  const size_t at = dictionary.find(fmt::format("'{}':", key));
  if (at == std::string_view::npos) {
    throw Malformed(path, fmt::format("its header has no '{}'", key));
  }
  dictionary.remove_prefix(at + key.size() + 3);
  return Trim(dictionary);
}

// "(128, 256)", "(4096,)"
std::vector<int64_t> ParseShape(std::string_view text, const std::filesystem::path& path) {
  const size_t end = text.find(')');
  if (!StartsWith(text, "(") || end == std::string_view::npos) {
    throw Malformed(path, "its header has a malformed shape");
  }
  std::vector<int64_t> shape;
  for (const std::string& part : Split(text.substr(1, end - 1), ',')) {
    const std::string_view digits = Trim(part);
    if (digits.empty()) continue;
    int64_t size = 0;
    const auto [last, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size);
    if (error != std::errc() || last != digits.data() + digits.size() || size < 0) {
      throw Malformed(path, fmt::format("its header has the size '{}'", digits));
    }
    shape.push_back(size);
  }
  if (shape.empty() || shape.size() > 2) {
    throw Malformed(path, fmt::format("it has {} dimensions; expected one (a stream of ids) or two "
                                      "(one sequence per row)",
                                      shape.size()));
  }
  return shape;
}

struct IntegerType {
  int width;
  bool is_signed;
};

// "'<u2'": byte order, kind, width.
IntegerType ParseType(std::string_view text, const std::filesystem::path& path) {
  const size_t end = text.find('\'', 1);
  const bool quoted = StartsWith(text, "'") && end != std::string_view::npos;
  const std::string_view type = quoted ? text.substr(1, end - 1) : text.substr(0, 20);
  const bool known = type.size() == 3 && (type[1] == 'u' || type[1] == 'i') &&
                     std::string_view("1248").find(type[2]) != std::string_view::npos;
  if (!quoted || !known) {
    throw Malformed(
        path, fmt::format("its type is '{}'; expected integers such as <u2, <i4 or <i8", type));
  }
  if (type[0] == '>') {
    throw Malformed(
        path, fmt::format("its type '{}' is big-endian; save it as little-endian ('<')", type));
  }
  return {.width = type[2] - '0', .is_signed = type[1] == 'i'};
}

uint64_t LittleEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i > 0; --i) {
    value = value << 8 | static_cast<unsigned char>(bytes[i - 1]);
  }
  return value;
}

// The dictionary; the data follows it.
std::string_view Dictionary(std::string_view bytes, const std::filesystem::path& path) {
  if (!StartsWith(bytes, kNpyMagic)) throw Malformed(path, "it lacks NumPy's magic bytes");
  if (bytes.size() < 12) throw Malformed(path, fmt::format("it ends after {} bytes", bytes.size()));
  const int version = bytes[6];
  if (version < 1 || version > 3) {
    throw Malformed(path, fmt::format("format version {}; known are 1 to 3", version));
  }
  const size_t width = version == 1 ? 2 : 4;
  const uint64_t size = LittleEndian(bytes.substr(8, width));
  if (size > bytes.size() || 8 + width + size > bytes.size()) {
    throw Malformed(path,
                    fmt::format("its header claims {} bytes, the file has {}", size, bytes.size()));
  }
  return bytes.substr(8 + width, size);
}

}  // namespace

NpyHeader ParseNpyHeader(std::string_view bytes, const std::filesystem::path& path) {
  const std::string_view dictionary = Dictionary(bytes, path);
  const IntegerType type = ParseType(ValueOf(dictionary, "descr", path), path);
  NpyHeader header{
      .data_offset = static_cast<size_t>(dictionary.data() + dictionary.size() - bytes.data()),
      .width = type.width,
      .is_signed = type.is_signed};
  const std::vector<int64_t> shape = ParseShape(ValueOf(dictionary, "shape", path), path);
  const bool columns_first = StartsWith(ValueOf(dictionary, "fortran_order", path), "True");
  if (columns_first && shape.size() == 2) {
    throw Malformed(path, "it is stored column by column; save numpy.ascontiguousarray of it");
  }
  if (shape.size() == 2) header.columns = shape[1];
  // Compared by division, so that a lying shape cannot overflow the product.
  const int64_t present = static_cast<int64_t>(bytes.size() - header.data_offset) / header.width;
  const bool exact = (bytes.size() - header.data_offset) % static_cast<size_t>(header.width) == 0;
  const bool fits = shape.size() == 1 ? shape[0] == present
                                      : (shape[1] == 0 ? present == 0
                                                       : present % shape[1] == 0 &&
                                                             present / shape[1] == shape[0]);
  if (!exact || !fits) {
    throw Malformed(
        path, fmt::format("its shape is [{}], of {}-byte integers, but {} bytes of data follow the "
                          "header",
                          fmt::join(shape, ", "), header.width, bytes.size() - header.data_offset));
  }
  header.count = present;
  return header;
}

}  // namespace condense
