#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace condense {
namespace {

DataError SystemError(const char* what, const std::filesystem::path& path) {
  const int code = errno;
  const char* remedy = code == ENOSPC   ? "; free some space and start again"
                       : code == EACCES ? "; check the permissions"
                       : code == EROFS  ? "; the file system is read-only"
                                        : "";
  return MakeError<DataError>("{}: cannot {}: {}{}", path.string(), what, std::strerror(code),
                              remedy);
}

class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags) : fd_(::open(path.c_str(), flags)) {
    if (fd_ < 0) throw SystemError("open", path);
  }
  ~Descriptor() { ::close(fd_); }
  int get() const { return fd_; }

 private:
  int fd_;
};

struct stat Inspect(int descriptor, const std::filesystem::path& path) {
  struct stat info {};
  if (::fstat(descriptor, &info) != 0) throw SystemError("read", path);
  if (S_ISDIR(info.st_mode)) {
    throw MakeError<DataError>("{}: is a folder, expected a file", path.string());
  }
  return info;
}

}  // namespace

std::string ReadFile(const std::filesystem::path& path) {
  const Descriptor file(path, O_RDONLY | O_CLOEXEC);
  const struct stat info = Inspect(file.get(), path);
  std::string bytes;
  bytes.reserve(static_cast<size_t>(info.st_size));
  char buffer[1 << 16];
  while (true) {
    const ssize_t count = ::read(file.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw SystemError("read", path);
    if (count == 0) return bytes;
    bytes.append(buffer, static_cast<size_t>(count));
  }
}

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const Descriptor file(path, O_RDONLY | O_CLOEXEC);
  size_ = static_cast<size_t>(Inspect(file.get(), path).st_size);
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) throw SystemError("map", path);
  data_ = static_cast<const char*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::Release(size_t offset, size_t count) const {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = (offset + page - 1) / page * page;
  const size_t end = (offset + count) / page * page;
  if (begin < end) ::madvise(const_cast<char*>(data_) + begin, end - begin, MADV_DONTNEED);
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  temporary_ = path_;
  temporary_ += fmt::format(".{}.tmp", ::getpid());
  descriptor_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw SystemError("create", path_);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::Write(const void* bytes, size_t count) { WriteAt(size_, bytes, count); }

void AtomicFile::WriteAt(uint64_t offset, const void* bytes, size_t count) {
  const char* at = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t written = ::pwrite(descriptor_, at, count, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw SystemError("write", path_);
    at += written;
    offset += static_cast<uint64_t>(written);
    count -= static_cast<size_t>(written);
    if (offset > size_) size_ = offset;
  }
}

void AtomicFile::Commit() {
  if (::fsync(descriptor_) != 0) throw SystemError("write", path_);
  if (::close(std::exchange(descriptor_, -1)) != 0) throw SystemError("write", path_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const DataError error = SystemError("replace", path_);
    ::unlink(temporary_.c_str());
    throw error;
  }
}

void WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.Write(bytes);
  file.Commit();
}

void MakeFolder(const std::filesystem::path& path) {
  if (path.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error && std::filesystem::is_directory(path)) return;
  throw MakeError<DataError>("{}: cannot create the folder: {}", path.string(),
                             error ? error.message() : "a file of that name is in the way");
}

uint64_t FreeDiskBytes(std::filesystem::path path) {
  std::error_code error;
  path = std::filesystem::absolute(path, error);
  while (!std::filesystem::exists(path, error) && path.has_relative_path())
    path = path.parent_path();
  const std::filesystem::space_info space = std::filesystem::space(path, error);
  return error ? 0 : space.available;
}

void RequireWritable(const std::filesystem::path& folder) {
  const auto place = folder.empty() ? std::filesystem::path(".") : folder;
  MakeFolder(place);
  const auto probe = place / ".condense-write-probe";
  try {
    AtomicFile file(probe);
    file.Write("x");
  } catch (const DataError& error) {
    throw MakeError<DataError>("{}: not writable ({})", place.string(), error.what());
  }
}

}  // namespace condense
