// Writes safetensors: a checkpoint folder tensor by tensor, or a few tensors in one file.
//
// A safetensors header precedes the data but is known only after it. Every shard therefore begins
// with a fixed reserve, which is filled in when the shard is complete and padded with spaces as the
// format allows; a shard ends when its data or its header is full. No tensor is held in memory or
// copied on disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "tensor/tensor.h"

namespace condense {

// Writes a folder that is complete or absent.
//
// Tensors are written as they are added and not kept in memory; a new shard begins when a tensor
// would exceed `shard_bytes` or the header has no room for it. Finish() writes the index (if there
// is more than one shard), syncs everything and renames the temporary folder into place. Without
// Finish() nothing is left on disk.
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
