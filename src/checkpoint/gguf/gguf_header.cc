#include "checkpoint/gguf/gguf_header.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "checkpoint/stored_tensor.h"

namespace condense {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are used as they are stored");

constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxNameBytes =
    65535;  // of keys, by the format; of names of tensors, to be sane
constexpr uint32_t kMaxDimensions = 4;
constexpr int kMaxArrayDepth = 4;
// Strings and arrays in arrays, of which each takes more memory than its bytes in the file.
constexpr uint64_t kMaxNestedValues = 1 << 22;

// Reads a file from front to back. Every count is checked against what is left of the file.
class Cursor {
 public:
  explicit Cursor(const MappedFile& file) : bytes_(file.bytes()), file_(file.path().string()) {}

  // What is being read, for messages.
  void At(std::string place) { place_ = std::move(place); }
  std::string Where() const { return file_ + ": " + place_; }
  uint64_t position() const { return position_; }
  uint64_t left() const { return bytes_.size() - position_; }

  template <class T>
  T Number() {
    T value;
    std::memcpy(&value, Bytes(sizeof value).data(), sizeof value);
    return value;
  }

  std::string_view Bytes(uint64_t count) {
    if (count > left()) {
      throw MakeError<DataError>(
          "{}: {} bytes expected at byte {}, but the file ends after {}; it is truncated or damaged",
          Where(), count, position_, left());
    }
    const auto bytes = bytes_.substr(position_, count);
    position_ += count;
    return bytes;
  }

  std::string_view Text() { return Bytes(Number<uint64_t>()); }

  // A key or the name of a tensor.
  std::string Name() {
    const uint64_t begin = position_;
    const auto size = Number<uint64_t>();
    if (size > kMaxNameBytes) {
      throw MakeError<DataError>("{}: a name of {} bytes at byte {}, at most {} are allowed",
                                 Where(), size, begin, kMaxNameBytes);
    }
    const std::string_view name = Bytes(size);
    if (name.empty() || InvalidUtf8At(name)) {
      throw MakeError<DataError>("{}: the name at byte {} is {}", Where(), begin,
                                 name.empty() ? "empty" : "not valid UTF-8");
    }
    return std::string(name);
  }

  // A number of things that take at least `least` bytes each.
  uint64_t Count(uint64_t least, const char* things) {
    const auto count = Number<uint64_t>();
    if (count > left() / least) {
      throw MakeError<DataError>(
          "{}: claims {} {}, but the file has {} bytes left; it is truncated or damaged", Where(),
          count, things, left());
    }
    return count;
  }

 private:
  std::string_view bytes_;
  std::string file_, place_ = "header";
  uint64_t position_ = 0;
};

[[noreturn]] void ThrowNotGguf(std::string_view bytes, const std::string& file) {
  const std::string_view magic = bytes.substr(0, 4);
  for (const std::string_view old : {"lmgg", "fmgg", "tjgg", "algg"}) {
    if (magic == old) {
      throw MakeError<DataError>(
          "{}: a GGML file from before GGUF; convert the original model to GGUF again", file);
    }
  }
  throw MakeError<DataError>("{}: begins with the bytes {}, expected \"GGUF\"; not a GGUF file",
                             file,
                             ToHex(reinterpret_cast<const uint8_t*>(magic.data()), magic.size()));
}

void RequireVersion(uint32_t version, const std::string& file) {
  if (version == 2 || version == 3) return;
  if ((version & 0xffff) == 0 && version != 0) {
    throw MakeError<DataError>(
        "{}: GGUF version {:#x}: the file is big-endian; convert it to little-endian", file,
        version);
  }
  throw MakeError<DataError>("{}: GGUF version {}, expected 2 or 3{}", file, version,
                             version == 1 ? "; convert the original model to GGUF again" : "");
}

GgufKind ReadKind(Cursor& cursor) {
  const auto kind = cursor.Number<uint32_t>();
  if (kind < kGgufKinds) return static_cast<GgufKind>(kind);
  throw MakeError<DataError>("{}: value type {} is unknown, expected 0 to {}", cursor.Where(), kind,
                             kGgufKinds - 1);
}

void RequireBools(std::string_view bytes, const Cursor& cursor) {
  for (const char byte : bytes) {
    if (byte == 0 || byte == 1) continue;
    throw MakeError<DataError>("{}: a bool is {}, expected 0 or 1", cursor.Where(),
                               static_cast<uint8_t>(byte));
  }
}

// Values of metadata. One object reads all of a file, since the limit on nested values is of all.
class ValueReader {
 public:
  explicit ValueReader(Cursor& cursor) : cursor_(cursor) {}

  GgufValue Read() {
    const GgufKind kind = ReadKind(cursor_);
    if (kind == GgufKind::kString) return {kind, cursor_.Text()};
    if (kind == GgufKind::kArray) return {kind, ReadArray(/*depth=*/1)};
    const std::string_view bytes = cursor_.Bytes(*GgufKindBytes(kind));
    if (kind == GgufKind::kBool) RequireBools(bytes, cursor_);
    return GgufScalar(kind, bytes.data());
  }

 private:
  GgufArray ReadArray(int depth) {
    if (depth > kMaxArrayDepth) {
      throw MakeError<DataError>("{}: arrays nested more than {} deep", cursor_.Where(),
                                 kMaxArrayDepth);
    }
    GgufArray array;
    array.element = ReadKind(cursor_);
    const auto width = GgufKindBytes(array.element);
    const bool strings = array.element == GgufKind::kString;
    // An array takes 12 bytes for type and count, a string 8 for its length.
    array.count = cursor_.Count(width ? *width : strings ? 8 : 12, "array elements");
    if (width) {
      array.numbers = cursor_.Bytes(array.count * *width);
      if (array.element == GgufKind::kBool) RequireBools(array.numbers, cursor_);
      return array;
    }
    nested_ += array.count;
    if (nested_ > kMaxNestedValues) {
      throw MakeError<DataError>("{}: more than {} strings and arrays in the arrays of one file",
                                 cursor_.Where(), kMaxNestedValues);
    }
    strings ? array.strings.reserve(array.count) : array.arrays.reserve(array.count);
    for (uint64_t i = 0; i < array.count; ++i) {
      if (strings) {
        array.strings.push_back(cursor_.Text());
      } else {
        array.arrays.push_back(ReadArray(depth + 1));
      }
    }
    return array;
  }

  Cursor& cursor_;
  uint64_t nested_ = 0;
};

void ReadMetadata(Cursor& cursor, uint64_t count, GgufMetadata& metadata) {
  ValueReader values(cursor);
  for (uint64_t i = 0; i < count; ++i) {
    cursor.At(fmt::format("metadata entry {} of {}", i + 1, count));
    std::string key = cursor.Name();
    cursor.At(fmt::format("metadata '{}'", key));
    GgufValue value = values.Read();
    if (!metadata.Add(std::move(key), std::move(value))) {
      throw MakeError<DataError>("{}: the key occurs twice", cursor.Where());
    }
  }
}

uint64_t AlignmentOf(const GgufMetadata& metadata, const std::string& file) {
  const auto alignment = metadata.Integer("general.alignment");
  if (!alignment) return kDefaultAlignment;
  if (*alignment < 8 || *alignment > (int64_t{1} << 31) ||
      !std::has_single_bit(static_cast<uint64_t>(*alignment))) {
    throw MakeError<DataError>(
        "{}: general.alignment is {}, expected a power of two from 8 to 2^31", file, *alignment);
  }
  return static_cast<uint64_t>(*alignment);
}

std::vector<int64_t> ReadShape(Cursor& cursor) {
  const auto dimensions = cursor.Number<uint32_t>();
  if (dimensions > kMaxDimensions) {
    throw MakeError<DataError>("{}: {} dimensions, at most {} are allowed", cursor.Where(),
                               dimensions, kMaxDimensions);
  }
  std::vector<int64_t> shape(dimensions);
  for (auto size = shape.rbegin(); size != shape.rend(); ++size) {
    *size = cursor.Number<int64_t>();  // one of 2^63 and more is refused as negative
  }
  return shape;
}

uint64_t BytesOf(const std::vector<int64_t>& shape, const GgufType& type,
                 const std::string& where) {
  const auto count = ElementCount(shape);
  const int64_t row = shape.empty() ? 1 : shape.back();
  if (count && row % type.block_elements != 0) {
    throw MakeError<DataError>("{}: rows of {} elements, but {} has blocks of {}", where, row,
                               type.name, type.block_elements);
  }
  int64_t bytes = 0, elements_in_memory = 0;
  if (!count ||
      __builtin_mul_overflow(*count / type.block_elements, int64_t{type.block_bytes}, &bytes) ||
      __builtin_mul_overflow(*count, static_cast<int64_t>(sizeof(float)), &elements_in_memory)) {
    throw MakeError<DataError>("{}: shape {} is too large for any file", where, ShapeString(shape));
  }
  return static_cast<uint64_t>(bytes);
}

// A tensor whose offset still counts from the start of the data.
GgufTensor ReadTensor(Cursor& cursor, uint64_t alignment) {
  GgufTensor tensor;
  tensor.name = cursor.Name();
  cursor.At(fmt::format("tensor '{}'", tensor.name));
  tensor.shape = ReadShape(cursor);
  const auto type = cursor.Number<uint32_t>();
  tensor.offset = cursor.Number<uint64_t>();
  tensor.type = &GgufTypeOf(type, cursor.Where());
  tensor.bytes = BytesOf(tensor.shape, *tensor.type, cursor.Where());
  if (tensor.offset % alignment != 0) {
    throw MakeError<DataError>("{}: its data begin at {}, which is no multiple of the alignment {}",
                               cursor.Where(), tensor.offset, alignment);
  }
  return tensor;
}

// Makes the offsets count from the start of the file.
void PlaceInFile(std::vector<GgufTensor>& tensors, uint64_t data_begin, uint64_t file_bytes,
                 const std::string& file) {
  const uint64_t data_bytes = file_bytes > data_begin ? file_bytes - data_begin : 0;
  for (GgufTensor& tensor : tensors) {
    if (tensor.offset > data_bytes || tensor.bytes > data_bytes - tensor.offset) {
      throw MakeError<DataError>(
          "{}: tensor '{}': {} of shape {} takes {} bytes from {}, but the file holds {} bytes of "
          "data; it is truncated or its header is wrong",
          file, tensor.name, tensor.type->name, ShapeString(tensor.shape), tensor.bytes,
          tensor.offset, data_bytes);
    }
    tensor.offset += data_begin;
  }
}

void RefuseOverlaps(const std::vector<GgufTensor>& tensors, const std::string& file) {
  for (size_t i = 1; i < tensors.size(); ++i) {
    const GgufTensor& last = tensors[i - 1];
    if (tensors[i].offset < last.offset + last.bytes) {
      throw MakeError<DataError>("{}: the bytes of tensors '{}' and '{}' overlap", file, last.name,
                                 tensors[i].name);
    }
  }
}

}  // namespace

GgufHeader ReadGgufHeader(const std::shared_ptr<const MappedFile>& file) {
  RefuseLfsPointer(*file);
  const std::string path = file->path().string();
  Cursor cursor(*file);
  if (!std::string_view("GGUF").starts_with(file->bytes().substr(0, 4))) {
    ThrowNotGguf(file->bytes(), path);
  }
  cursor.Bytes(4);
  RequireVersion(cursor.Number<uint32_t>(), path);
  // The least that a tensor takes: a name of one byte, no dimension; an entry: a key of one byte
  // and a value of one byte.
  const uint64_t tensor_count = cursor.Count(8 + 1 + 4 + 4 + 8, "tensors");
  const uint64_t entry_count = cursor.Count(8 + 1 + 4 + 1, "metadata entries");
  GgufHeader header{.metadata = GgufMetadata(file), .tensors = {}};
  ReadMetadata(cursor, entry_count, header.metadata);
  const uint64_t alignment = AlignmentOf(header.metadata, path);
  std::set<std::string_view> names;
  header.tensors.reserve(tensor_count);
  for (uint64_t i = 0; i < tensor_count; ++i) {
    cursor.At(fmt::format("tensor {} of {}", i + 1, tensor_count));
    header.tensors.push_back(ReadTensor(cursor, alignment));
    if (!names.insert(header.tensors.back().name).second) {
      throw MakeError<DataError>("{}: the name occurs twice", cursor.Where());
    }
  }
  const uint64_t data_begin = (cursor.position() + alignment - 1) / alignment * alignment;
  PlaceInFile(header.tensors, data_begin, file->bytes().size(), path);
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const GgufTensor& a, const GgufTensor& b) {
              return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
            });
  RefuseOverlaps(header.tensors, path);
  return header;
}

}  // namespace condense
