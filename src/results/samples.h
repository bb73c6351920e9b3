// Arrays of raw measurements as compressed blobs: a typed header of 24 bytes, then one zstd frame.
//
// Header, little-endian: "CNSB", u8 version, u8 element type, u16 zero, u64 columns, u64 elements.
// Values are stored bit for bit, non-finite ones included.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace condense {

struct SampleArray {
  using Values = std::variant<std::vector<double>, std::vector<float>, std::vector<int64_t>,
                              std::vector<int32_t>, std::vector<uint8_t>>;
  Values values;         // row-major, [rows, columns]
  uint64_t columns = 1;  // e.g. the choices of a document

  size_t size() const;  // elements
  bool operator==(const SampleArray&) const = default;
};

std::string EncodeSamples(const SampleArray& array);
// `place` names the record in the DataError for bytes that are not such a blob.
SampleArray DecodeSamples(std::string_view bytes, std::string_view place);

}  // namespace condense
