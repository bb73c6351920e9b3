// The tensors of a model folder on disk.
//
// Reads Hugging Face folders: safetensors, single or sharded with an index, and torch .bin zip
// files. Knows files, shards and tensors, not models. Files are memory-mapped; a tensor's bytes are
// read when they are used, so that a model larger than memory can be streamed block by block.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace condense {

struct TensorInfo {
  DType dtype;
  std::vector<int64_t> shape;
  std::filesystem::path file;
  int64_t elements() const;
};

class Checkpoint {
 public:
  // Opens every weight file of the folder and validates every header against its file: offsets
  // inside the file, no overlap, no gap, sizes equal to dtype x shape, header of a sane size, names
  // unique over shards and equal to the index. DataError names file and tensor.
  static Checkpoint Open(const std::filesystem::path& folder);
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  const std::filesystem::path& folder() const;
  const std::vector<std::string>& Names() const;  // sorted
  bool Has(const std::string& name) const;
  // DataError with the nearest names when `name` is absent.
  const TensorInfo& Info(const std::string& name) const;
  // The tensor in its stored dtype, on the CPU. It may point into the memory map and must not be
  // written to; it keeps the map alive.
  Tensor Get(const std::string& name) const;
  // As Get, but DataError unless the shape is the expected one.
  Tensor Get(const std::string& name, at::IntArrayRef shape) const;
  // Tells the kernel that the tensor will not be read again, so that it may drop its pages.
  void Release(const std::string& name) const;
  // SHA-256 over the hexadecimal digests of all weight files and config.json, in order of name.
  // Computed once.
  const std::string& Digest() const;
  uint64_t FileBytes() const;  // size of the weight files
  std::vector<std::filesystem::path> Files() const;

 private:
  struct State;
  explicit Checkpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace condense
