// A folder that appears complete or not at all.
//
// Files are put into a hidden folder beside the destination; Commit() moves it into place. An
// existing destination is exchanged in one step (renameat2), so that at every moment a complete
// folder has the name; on file systems that cannot exchange, the old one is moved aside first and
// back on failure.
#pragma once

#include <filesystem>

namespace condense {

class StagedFolder {
 public:
  // Creates the staging folder, and clears up after processes that died before they were done.
  explicit StagedFolder(const std::filesystem::path& destination);
  ~StagedFolder();
  StagedFolder(const StagedFolder&) = delete;

  const std::filesystem::path& destination() const { return destination_; }
  const std::filesystem::path& staging() const { return staging_; }
  void Commit();

 private:
  std::filesystem::path destination_, staging_;
};

}  // namespace condense
