// Multiple-choice and last-word tasks. configs/tasks/<name>.yaml says how the records of a file
// become requests (protocols.md 3.2 to 3.4), so a new task is a new file. Scoring is done in
// evaluation/; stats/ computes the metrics.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/requests.h"
#include "data/text/corpus.h"
#include "stats/task_scores.h"

namespace condense {

struct TaskDocument {
  int64_t index = 0;   // place in the file, from 0
  std::string sha256;  // over "context\0continuation\0" of its requests
  int64_t gold = 0;
  std::vector<Request> requests;            // one per choice
  std::vector<int64_t> code_points, bytes;  // of each choice's text, without the leading space
};

// The documents of one file under one definition.
struct TaskSet {
  std::string name;                 // "arc_easy"; "arc_easy@first-100" when limited
  std::string definition_sha256;    // see DefinitionSha256
  std::vector<TaskMetric> metrics;  // those the harness reports, the main one first
  bool fixed_choices = false;       // see TaskScores
  std::vector<TaskDocument> documents;
  std::string file;             // as found
  std::string data_sha256;      // of the file
  bool known_file = false;      // one of the original files that the definition lists
  std::string requests_sha256;  // over all requests of `documents`, in order
  bool known_requests = false;  // those of the whole original file, in whatever form

  int64_t RequestCount() const;
};

struct TaskOptions {
  std::optional<int64_t> limit;               // only the first documents
  std::optional<std::filesystem::path> file;  // instead of looking under the data folder
};

struct TaskSpec;  // task_definition.h

// The file of a task, from the bundled data or the user's data folders. DataError that lists the
// names and folders tried when there is none.
std::filesystem::path FindTaskFile(std::string_view task, const DataRoots& roots);

// ConfigError for an unknown task (with the nearest name) or a faulty definition; DataError with
// file, line and the record's keys for records that fit no form. Warns when, without a limit, the
// number of documents is not that of the definition.
TaskSet LoadTask(std::string_view task, const DataRoots& roots, const TaskOptions& options = {});
TaskSet LoadTask(const TaskSpec& spec, std::string_view task, const DataRoots& roots,
                 const TaskOptions& options = {});

}  // namespace condense
