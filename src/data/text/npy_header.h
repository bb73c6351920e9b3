// The header of a NumPy .npy file (format versions 1 to 3), for arrays of integers with one or two
// dimensions. Does not read the data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>

namespace condense {

inline constexpr std::string_view kNpyMagic = "\x93NUMPY";

struct NpyHeader {
  size_t data_offset = 0;
  int width = 0;  // bytes of one integer, little-endian
  bool is_signed = false;
  int64_t count = 0;    // of all integers
  int64_t columns = 0;  // 0 for one dimension
};

// DataError when the header is malformed, the array is of another kind, or the file has more or
// fewer bytes than the header says.
NpyHeader ParseNpyHeader(std::string_view bytes, const std::filesystem::path& path);

}  // namespace condense
