// The scores of documents as JSON lines, one document a line, and what of them is finished while an
// evaluation runs, so that an interrupted one resumes.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "data/tasks/task.h"
#include "stats/task_scores.h"

namespace condense {

class SampleFile {
 public:
  struct Identity {
    std::string model;                         // digest
    std::string protocol;                      // of requests
    std::map<std::string, std::string> tasks;  // name -> digest of its requests
  };
  // Reads what an interrupted evaluation left beside `path` (PATH.part). ConfigError when that was
  // an evaluation of something else.
  SampleFile(std::filesystem::path path, const Identity& identity);

  // Documents of a task that were scored before the interruption.
  std::vector<DocumentScore> Done(const std::string& task) const;
  void Keep(const std::string& task, std::span<const DocumentScore> documents);
  // Writes the whole file, with the strings of each request, and removes the part.
  void Finish(const std::vector<TaskSet>& tasks, const std::vector<TaskScores>& scores);

 private:
  std::filesystem::path path_, part_;
  std::map<std::string, std::vector<DocumentScore>> done_;
};

}  // namespace condense
