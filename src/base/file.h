// Reading and atomic writing of files. Every failure is a DataError that names the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace condense {

std::string ReadFile(const std::filesystem::path& path);

// A read-only memory map of a whole file. Pages are read when they are touched.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;

  std::string_view bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }
  // Tells the kernel that a range will not be needed again.
  void Release(size_t offset, size_t count) const;

 private:
  std::filesystem::path path_;
  const char* data_ = nullptr;
  size_t size_ = 0;
};

// Writes to a temporary file beside `path`; Commit() syncs it to disk and renames it into place.
// Without Commit() the destination is left as it was and the temporary file is removed.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;

  void Write(const void* bytes, size_t count);
  void Write(std::string_view bytes) { Write(bytes.data(), bytes.size()); }
  // Overwrites bytes written before, for headers whose content is known last.
  void WriteAt(uint64_t offset, const void* bytes, size_t count);
  uint64_t size() const { return size_; }
  void Commit();

 private:
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

void WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes);
// Creates the folder and its parents; DataError if that is impossible or a file is in the way.
void MakeFolder(const std::filesystem::path& path);
// Free bytes of the disk that holds `path`, or would hold it; 0 where that is not known.
uint64_t FreeDiskBytes(std::filesystem::path path);
// DataError unless files can be created in `folder` (which is created if missing).
void RequireWritable(const std::filesystem::path& folder);

}  // namespace condense
