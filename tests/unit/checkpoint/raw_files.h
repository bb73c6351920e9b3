// Files made byte by byte, so that tests can write what no writer would.
#pragma once

#include <gmock/gmock.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "tensor/tensor.h"

namespace condense {

inline std::string SafetensorsBytes(std::string_view header, std::string_view data) {
  const uint64_t size = header.size();
  std::string bytes(sizeof size, '\0');
  std::memcpy(bytes.data(), &size, sizeof size);
  return bytes.append(header).append(data);
}

inline void WriteSafetensors(const std::filesystem::path& path, std::string_view header,
                             std::string_view data) {
  WriteFileAtomically(path, SafetensorsBytes(header, data));
}

// A safetensors file with one float32 tensor [2] for each name.
inline void WritePairs(const std::filesystem::path& path, const std::vector<std::string>& names) {
  std::string header = "{";
  for (size_t i = 0; i < names.size(); ++i) {
    header += fmt::format(R"({}"{}":{{"dtype":"F32","shape":[2],"data_offsets":[{},{}]}})",
                          i == 0 ? "" : ",", names[i], 8 * i, 8 * i + 8);
  }
  WriteSafetensors(path, header + "}", std::string(8 * names.size(), '\0'));
}

// EXPECT_THAT(action, FailsWith("model.safetensors", "tensor 'a'")): a DataError with every part.
template <class... Parts>
auto FailsWith(Parts... parts) {
  return ::testing::ThrowsMessage<DataError>(::testing::AllOf(::testing::HasSubstr(parts)...));
}

inline Tensor Floats(std::vector<float> values) { return at::tensor(values, kF32); }

}  // namespace condense
