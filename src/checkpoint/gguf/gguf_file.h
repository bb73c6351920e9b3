// A GGUF file, or all files of one that was split (NAME-00001-of-00003.gguf), with its tensors
// decoded to float32.
//
// Knows files, metadata and tensors, not models. Files are memory-mapped; a tensor is decoded when
// it is asked for, so that a model larger than memory can be streamed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/gguf/gguf_header.h"
#include "tensor/tensor.h"

namespace condense {

// The file alone, or by the rule of names all files of a split one, in order. Opens none.
std::vector<std::filesystem::path> GgufParts(const std::filesystem::path& path);

class GgufFile {
 public:
  // Opens the file and, if it is one of several, all others. Validates every header against its
  // file (gguf_header.h), and that the files belong together: each says its number, and a name
  // occurs once. DataError names file and place. Reads no tensor.
  static GgufFile Open(const std::filesystem::path& path);
  GgufFile(GgufFile&&) noexcept;
  GgufFile& operator=(GgufFile&&) noexcept;
  ~GgufFile();

  const GgufMetadata& metadata() const;  // of the first file
  const std::vector<std::filesystem::path>& files() const;
  uint64_t FileBytes() const;

  const std::vector<std::string>& Names() const;  // sorted
  bool Has(const std::string& name) const;
  // DataError with the nearest names when `name` is absent.
  const GgufTensor& Info(const std::string& name) const;
  const std::filesystem::path& FileOf(const std::string& name) const;
  // The tensor as float32, on the CPU. Memory of its own.
  Tensor Get(const std::string& name) const;
  // Tells the kernel that the tensor will not be read again, so that it may drop its pages.
  void Release(const std::string& name) const;

 private:
  struct State;
  explicit GgufFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace condense
