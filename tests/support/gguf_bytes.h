// GGUF files made byte by byte, so that tests can write what no writer would.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/gguf/gguf_metadata.h"

namespace condense {

template <class T>
std::string Raw(T number) {
  std::string bytes(sizeof number, '\0');
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

inline std::string RawText(std::string_view text) {
  return Raw<uint64_t>(text.size()).append(text);
}

struct GgufBytes {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::vector<std::string> entries, tensors;
  std::string data;
  uint64_t alignment = 32;

  GgufBytes& Entry(std::string_view key, GgufKind kind, std::string_view value) {
    entries.push_back(RawText(key) + Raw(static_cast<uint32_t>(kind)) + std::string(value));
    return *this;
  }
  GgufBytes& Uint16(std::string_view key, uint16_t value) {
    return Entry(key, GgufKind::kUint16, Raw(value));
  }
  // `sizes` as in the file: the fastest dimension first.
  GgufBytes& Tensor(std::string_view name, const std::vector<uint64_t>& sizes, uint32_t type,
                    uint64_t offset) {
    std::string bytes = RawText(name) + Raw(static_cast<uint32_t>(sizes.size()));
    for (const uint64_t size : sizes) bytes += Raw(size);
    tensors.push_back(bytes + Raw(type) + Raw(offset));
    return *this;
  }
  GgufBytes& Data(std::string bytes) {
    data = std::move(bytes);
    return *this;
  }

  std::string Bytes() const {
    std::string bytes =
        magic + Raw(version) + Raw<uint64_t>(tensors.size()) + Raw<uint64_t>(entries.size());
    for (const std::string& entry : entries) bytes += entry;
    for (const std::string& tensor : tensors) bytes += tensor;
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment, '\0');
    return bytes + data;
  }
};

// The head of an array: its type and the number of its elements.
inline std::string RawArray(GgufKind element, uint64_t count) {
  return Raw(static_cast<uint32_t>(element)) + Raw(count);
}

}  // namespace condense
