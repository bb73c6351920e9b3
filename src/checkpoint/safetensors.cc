#include "checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/strings.h"

namespace condense {
namespace {

using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little,
              "tensor bytes are used as they are stored");

// The limit of the reference implementation.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;

constexpr std::array<std::pair<std::string_view, DType>, 10> kDTypes{{{"F64", at::kDouble},
                                                                      {"F32", at::kFloat},
                                                                      {"F16", at::kHalf},
                                                                      {"BF16", at::kBFloat16},
                                                                      {"I64", at::kLong},
                                                                      {"I32", at::kInt},
                                                                      {"I16", at::kShort},
                                                                      {"I8", at::kChar},
                                                                      {"U8", at::kByte},
                                                                      {"BOOL", at::kBool}}};

DType ParseStoredDType(const Json& value, const std::string& where) {
  if (!value.is_string()) {
    throw MakeError<DataError>("{}: dtype is {}, expected a string", where, value.dump());
  }
  const auto name = value.get<std::string>();
  std::vector<std::string> known;
  for (const auto& [text, dtype] : kDTypes) {
    if (text == name) return dtype;
    known.emplace_back(text);
  }
  if (name.starts_with("F8_") || name.starts_with("F6_") || name.starts_with("F4")) {
    throw MakeError<DataError>(
        "{}: dtype '{}' is not supported; convert the checkpoint to F16, BF16 or F32", where, name);
  }
  throw MakeError<DataError>("{}: unknown dtype '{}'; known: {}", where, name, Join(known, ", "));
}

std::vector<int64_t> ParseShape(const Json& value, const std::string& where) {
  if (!value.is_array()) {
    throw MakeError<DataError>("{}: shape is {}, expected an array", where, value.dump());
  }
  std::vector<int64_t> shape;
  for (const Json& size : value) {
    constexpr auto kLimit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (!size.is_number_unsigned() || size.get<uint64_t>() > kLimit) {
      throw MakeError<DataError>("{}: shape {} has the dimension {}, expected whole numbers from 0",
                                 where, value.dump(), size.dump());
    }
    shape.push_back(size.get<int64_t>());
  }
  return shape;
}

std::pair<uint64_t, uint64_t> ParseOffsets(const Json& value, const std::string& where) {
  if (!value.is_array() || value.size() != 2 || !value[0].is_number_unsigned() ||
      !value[1].is_number_unsigned() || value[0].get<uint64_t>() > value[1].get<uint64_t>()) {
    throw MakeError<DataError>(
        "{}: data_offsets is {}, expected [begin, end] with 0 <= begin <= end", where,
        value.dump());
  }
  return {value[0].get<uint64_t>(), value[1].get<uint64_t>()};
}

const Json& Field(const Json& entry, const char* name, const std::string& where) {
  const auto found = entry.find(name);
  if (found == entry.end()) throw MakeError<DataError>("{}: the header has no '{}'", where, name);
  return *found;
}

struct DataRange {
  uint64_t begin = 0, size = 0;  // of the data part, in the file
};

StoredTensor ParseEntry(const std::string& name, const Json& entry, const DataRange& data,
                        const std::string& file) {
  const std::string where = fmt::format("{}: tensor '{}'", file, name);
  if (!entry.is_object()) {
    throw MakeError<DataError>("{}: its header entry is {}, expected an object", where,
                               entry.dump());
  }
  StoredTensor tensor;
  tensor.name = name;
  tensor.dtype = ParseStoredDType(Field(entry, "dtype", where), where);
  tensor.shape = ParseShape(Field(entry, "shape", where), where);
  const auto [begin, end] = ParseOffsets(Field(entry, "data_offsets", where), where);
  if (end > data.size) {
    throw MakeError<DataError>(
        "{}: its bytes end at {}, but the file holds {} bytes of data; the file is truncated or "
        "its header is wrong",
        where, end, data.size);
  }
  const auto width = static_cast<int64_t>(c10::elementSize(tensor.dtype));
  const auto count = ElementCount(tensor.shape);
  int64_t bytes = 0;
  if (!count || __builtin_mul_overflow(*count, width, &bytes)) {
    throw MakeError<DataError>("{}: shape {} is too large for any file", where,
                               ShapeString(tensor.shape));
  }
  if (end - begin != static_cast<uint64_t>(bytes)) {
    throw MakeError<DataError>("{}: {} of shape {} takes {} bytes, but data_offsets span {}", where,
                               DTypeName(tensor.dtype), ShapeString(tensor.shape), bytes,
                               end - begin);
  }
  tensor.offset = data.begin + begin;
  tensor.bytes = end - begin;
  return tensor;
}

// Tensors in order of offset have to follow one another to the end of the file.
void RequireSeamless(const std::vector<StoredTensor>& tensors, const DataRange& data,
                     const std::string& file) {
  uint64_t end = data.begin;
  const std::string* last = nullptr;
  for (const StoredTensor& tensor : tensors) {
    if (tensor.offset < end) {
      throw MakeError<DataError>("{}: the bytes of tensors '{}' and '{}' overlap", file, *last,
                                 tensor.name);
    }
    if (tensor.offset > end) {
      throw MakeError<DataError>("{}: a gap of {} bytes before tensor '{}'; no gaps are allowed",
                                 file, tensor.offset - end, tensor.name);
    }
    end = tensor.offset + tensor.bytes;
    last = &tensor.name;
  }
  if (end != data.begin + data.size) {
    throw MakeError<DataError>("{}: {} bytes at the end belong to no tensor", file,
                               data.begin + data.size - end);
  }
}

std::string_view HeaderText(const MappedFile& file) {
  const std::string_view bytes = file.bytes();
  const std::string path = file.path().string();
  uint64_t size = 0;
  if (bytes.size() < sizeof size) {
    throw MakeError<DataError>("{}: truncated: {} bytes, a safetensors file has at least 8", path,
                               bytes.size());
  }
  std::memcpy(&size, bytes.data(), sizeof size);
  if (size > kMaxHeaderBytes) {
    throw MakeError<DataError>(
        "{}: the header claims {} bytes, at most {} are allowed; this is not a safetensors file",
        path, size, kMaxHeaderBytes);
  }
  if (size > bytes.size() - sizeof size) {
    throw MakeError<DataError>("{}: truncated: the header claims {} bytes, the file has {}", path,
                               size, bytes.size() - sizeof size);
  }
  return bytes.substr(sizeof size, size);
}

}  // namespace

std::vector<StoredTensor> ReadSafetensorsHeader(const MappedFile& file) {
  RefuseLfsPointer(file);
  const std::string path = file.path().string();
  const std::string_view text = HeaderText(file);
  const Json header = ParseJson(text, path + ": safetensors header");
  if (!header.is_object()) {
    throw MakeError<DataError>("{}: the safetensors header is not a JSON object", path);
  }
  const DataRange data{8 + text.size(), file.bytes().size() - 8 - text.size()};
  std::vector<StoredTensor> tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name != "__metadata__") tensors.push_back(ParseEntry(name, entry, data, path));
  }
  std::sort(tensors.begin(), tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
  });
  RequireSeamless(tensors, data, path);
  return tensors;
}

SafetensorsHeader::SafetensorsHeader(const std::map<std::string, std::string>& metadata) {
  text_ = "{";
  if (!metadata.empty()) text_ += "\"__metadata__\":" + Json(metadata).dump();
}

std::string SafetensorsHeader::Entry(const std::string& name, const Tensor& tensor) const {
  CONDENSE_CHECK(name != "__metadata__", "a tensor cannot have the name __metadata__");
  const auto known = std::find_if(kDTypes.begin(), kDTypes.end(), [&](const auto& pair) {
    return pair.second == tensor.scalar_type();
  });
  CONDENSE_CHECK(known != kDTypes.end(), "tensor '{}' is {}", name,
                 DTypeName(tensor.scalar_type()));
  return fmt::format(R"({}:{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", Json(name).dump(),
                     known->first, Json(tensor.sizes().vec()).dump(), data_bytes_,
                     data_bytes_ + tensor.nbytes());
}

void SafetensorsHeader::Add(const std::string& entry, uint64_t bytes) {
  if (text_.size() > 1) text_ += ',';
  text_ += entry;
  data_bytes_ += bytes;
}

std::string SafetensorsHeader::Finish(uint64_t data_begin) const {
  const uint64_t needed = 8 + text_.size() + 1;
  const uint64_t end = data_begin != 0 ? data_begin : (needed + 7) / 8 * 8;
  CONDENSE_CHECK(needed <= end, "a header of {} bytes in {}", needed, end);
  const uint64_t size = end - 8;
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &size, sizeof size);
  bytes += text_ + "}";
  bytes.resize(end, ' ');
  return bytes;
}

}  // namespace condense
