// A folder that appears complete or not at all.
//
// Files are put into a hidden folder beside the destination; Commit() moves it into place. An
// existing destination is exchanged in one step (renameat2), so that the name always refers to a
// complete folder; on file systems that cannot exchange, the old folder is moved aside first, and
// back on failure.
#pragma once

#include <filesystem>

namespace condense {

class StagedFolder {
 public:
  // Creates the staging folder and removes those of processes that died before they finished.
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
