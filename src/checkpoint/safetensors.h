// The header of a safetensors file (https://github.com/huggingface/safetensors, "Format"):
//
//   8 bytes, little-endian: size of the header | header: a JSON object, may end in spaces | data
//
//   {"__metadata__": {...},
//    "name": {"dtype": "F16", "shape": [2, 3], "data_offsets": [begin, end]}, ...}
//
// The data of the tensors fills the rest of the file without gap or overlap.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/stored_tensor.h"

namespace condense {

// Every tensor of the file, in order of offset. DataError when any entry contradicts the file.
std::vector<StoredTensor> ReadSafetensorsHeader(const MappedFile& file);

// Writes headers: entries are added in the order of the data.
class SafetensorsHeader {
 public:
  explicit SafetensorsHeader(const std::map<std::string, std::string>& metadata);

  // The text of an entry for data that begins where the last one ended.
  std::string Entry(const std::string& name, const Tensor& tensor) const;
  void Add(const std::string& entry, uint64_t bytes);
  uint64_t data_bytes() const { return data_bytes_; }
  // Size of the header with one more entry, before padding.
  uint64_t SizeWith(const std::string& entry) const { return text_.size() + entry.size() + 2; }
  // Size and header, padded with spaces so that the data begins at a multiple of 8, or at
  // `data_begin`.
  std::string Finish(uint64_t data_begin = 0) const;

 private:
  std::string text_;  // without the closing brace
  uint64_t data_bytes_ = 0;
};

}  // namespace condense
