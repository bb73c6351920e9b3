// Tensors and settings of a model folder on disk.
//
// Reads Hugging Face folders: safetensors, single or sharded with an index, and torch .bin zip
// files. Knows files, shards and tensors, not models. Files are memory-mapped; a tensor's bytes are
// read when it is asked for, so that a model larger than memory can be streamed block by block.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
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
  // Lets the kernel drop the pages of a tensor that will not be read again.
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

// Parses a JSON file; DataError with line and column when it is malformed.
nlohmann::json ReadJson(const std::filesystem::path& path);
void WriteJson(const std::filesystem::path& path, const nlohmann::json& value);

// Writes safetensors files tensor by tensor, each folder complete or absent.
//
// Tensors are appended as they come and are in no memory afterwards; a new shard begins when one
// would exceed `shard_bytes` or the header has no room for it. Finish() writes the index (more than
// one shard), syncs everything and renames the temporary folder into place. Without Finish()
// nothing is left behind.
class CheckpointWriter {
 public:
  struct Options {
    uint64_t shard_bytes = uint64_t{5} << 30;
  };
  // `folder` must not exist, be empty, or be an earlier checkpoint (weights, and no folders in it),
  // which Finish() replaces in one step.
  explicit CheckpointWriter(std::filesystem::path folder)
      : CheckpointWriter(std::move(folder), Options{}) {}
  CheckpointWriter(std::filesystem::path folder, Options options);
  ~CheckpointWriter();

  void Add(const std::string& name, const Tensor& tensor);        // a name may be added once
  void AddFile(const std::string& name, std::string_view bytes);  // config.json and the like
  void CopyFile(const std::filesystem::path& from);               // keeps the file's name
  void Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A few named tensors in one safetensors file, for caches and test data. Atomic.
void WriteTensors(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors,
                  const std::map<std::string, std::string>& metadata = {});
std::map<std::string, Tensor> ReadTensors(const std::filesystem::path& path);

}  // namespace condense
