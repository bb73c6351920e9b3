#include "checkpoint/staged_folder.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/system.h"

namespace condense {
namespace {

namespace fs = std::filesystem;

DataError SystemError(const char* what, const fs::path& path) {
  return MakeError<DataError>("{}: cannot {}: {}", path.string(), what, std::strerror(errno));
}

// Names of files in a folder are on disk only when the folder itself is synced.
void SyncFolder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw SystemError("open", folder);
  const int failed = ::fsync(descriptor);
  ::close(descriptor);
  // Some network file systems cannot sync folders and say so with EINVAL.
  if (failed != 0 && errno != EINVAL) throw SystemError("sync", folder);
}

// Absolute, without "..", links or a final slash, so that the name and its parent are known.
fs::path Resolved(const fs::path& path) {
  fs::path resolved = fs::weakly_canonical(fs::absolute(path)).lexically_normal();
  return resolved.has_filename() ? resolved : resolved.parent_path();
}

// ".NAME.HOST.staged-": the process number and a counter follow.
std::string StagingPrefix(const fs::path& destination) {
  return fmt::format(".{}.{}.staged-", destination.filename().string(), HostName());
}

// A process died between the two renames of MoveAsideAndReplace if its ".old" folder is there and
// the destination is not.
void RestoreOrRemove(const fs::path& abandoned, const fs::path& destination) {
  std::error_code error;
  if (abandoned.extension() == ".old" && !fs::exists(destination)) {
    fs::rename(abandoned, destination, error);
  } else {
    fs::remove_all(abandoned, error);
  }
}

void RemoveAbandoned(const fs::path& destination) {
  const std::string prefix = StagingPrefix(destination);
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(destination.parent_path(), error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    pid_t process = 0;
    std::from_chars(name.data() + prefix.size(), name.data() + name.size(), process);
    const bool dead = process > 0 && ::kill(process, 0) != 0 && errno == ESRCH;
    if (dead) RestoreOrRemove(entry.path(), destination);
  }
}

void MoveAsideAndReplace(const fs::path& staging, const fs::path& destination) {
  const fs::path aside = staging.string() + ".old";
  if (::rename(destination.c_str(), aside.c_str()) != 0) throw SystemError("replace", destination);
  if (::rename(staging.c_str(), destination.c_str()) != 0) {
    const DataError error = SystemError("replace", destination);
    ::rename(aside.c_str(), destination.c_str());
    throw error;
  }
  fs::remove_all(aside);
}

}  // namespace

StagedFolder::StagedFolder(const fs::path& destination) : destination_(Resolved(destination)) {
  MakeFolder(destination_.parent_path());
  RemoveAbandoned(destination_);
  static std::atomic<int> counter{0};
  staging_ = destination_.parent_path() /
             fmt::format("{}{}-{}", StagingPrefix(destination_), ::getpid(), counter++);
  std::error_code error;
  fs::remove_all(staging_, error);
  if (!fs::create_directory(staging_, error)) {
    throw MakeError<DataError>("{}: cannot create the folder: {}", staging_.string(),
                               error.message());
  }
}

StagedFolder::~StagedFolder() {
  std::error_code ignored;
  if (!staging_.empty()) fs::remove_all(staging_, ignored);
}

void StagedFolder::Commit() {
  SyncFolder(staging_);
  if (::renameat2(AT_FDCWD, staging_.c_str(), AT_FDCWD, destination_.c_str(), RENAME_NOREPLACE) ==
      0) {
    staging_.clear();
  } else if (errno == EEXIST && ::renameat2(AT_FDCWD, staging_.c_str(), AT_FDCWD,
                                            destination_.c_str(), RENAME_EXCHANGE) == 0) {
    // The staging name now holds the replaced folder; the destructor removes it.
  } else if (fs::exists(destination_)) {
    MoveAsideAndReplace(staging_, destination_);
    staging_.clear();
  } else if (::rename(staging_.c_str(), destination_.c_str()) != 0) {
    throw SystemError("create", destination_);
  } else {
    staging_.clear();
  }
  SyncFolder(destination_.parent_path());
}

}  // namespace condense
