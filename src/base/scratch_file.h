// A nameless temporary file for what does not fit into memory. It is read and written by position,
// not mapped: mapped pages would count as memory of the process. It is gone with the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace condense {

class ScratchFile {
 public:
  // In `folder`; by default that of the environment variable TMPDIR, or /tmp. DataError, as for all
  // of its failures, names the folder.
  explicit ScratchFile(std::filesystem::path folder = std::filesystem::temp_directory_path());
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  uint64_t Append(const void* bytes, size_t count);  // returns where they are
  void WriteAt(uint64_t offset, const void* bytes, size_t count);
  void ReadAt(uint64_t offset, void* bytes, size_t count) const;
  uint64_t size() const { return size_; }

 private:
  std::filesystem::path folder_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

}  // namespace condense
