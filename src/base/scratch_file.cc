#include "base/scratch_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"

namespace condense {
namespace {

DataError ScratchError(const char* what, const std::filesystem::path& folder) {
  return MakeError<DataError>(
      "{}: cannot {} a temporary file: {}; free some space there, or name another folder with the "
      "environment variable TMPDIR",
      folder.string(), what, std::strerror(errno));
}

}  // namespace

ScratchFile::ScratchFile(std::filesystem::path folder) : folder_(std::move(folder)) {
  std::string name = (folder_ / "condense-XXXXXX").string();
  descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor_ < 0) throw ScratchError("create", folder_);
  ::unlink(name.c_str());
}

ScratchFile::~ScratchFile() { ::close(descriptor_); }

uint64_t ScratchFile::Append(const void* bytes, size_t count) {
  const uint64_t offset = size_;
  WriteAt(offset, bytes, count);
  return offset;
}

void ScratchFile::WriteAt(uint64_t offset, const void* bytes, size_t count) {
  const auto* from = static_cast<const char*>(bytes);
  for (size_t done = 0; done < count;) {
    const ssize_t wrote =
        ::pwrite(descriptor_, from + done, count - done, static_cast<off_t>(offset + done));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) throw ScratchError("write", folder_);
    done += static_cast<size_t>(wrote);
  }
  size_ = std::max(size_, offset + count);
}

void ScratchFile::ReadAt(uint64_t offset, void* bytes, size_t count) const {
  CONDENSE_CHECK(offset + count <= size_, "{} bytes at {} of {}", count, offset, size_);
  auto* to = static_cast<char*>(bytes);
  for (size_t done = 0; done < count;) {
    const ssize_t read =
        ::pread(descriptor_, to + done, count - done, static_cast<off_t>(offset + done));
    if (read < 0 && errno == EINTR) continue;
    if (read <= 0) throw ScratchError("read", folder_);
    done += static_cast<size_t>(read);
  }
}

}  // namespace condense
