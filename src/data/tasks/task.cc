#include "data/tasks/task.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "data/tasks/task_definition.h"
#include "data/tasks/task_files.h"
#include "data/tasks/task_records.h"
#include "data/text/jsonl.h"
#include "stats/stored_names.h"

namespace condense {
namespace {

using nlohmann::json;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// The text up to the end of its first `count` lines that are not blank.
std::string_view FirstLines(std::string_view text, int64_t count) {
  size_t end = 0;
  while (count > 0 && end < text.size()) {
    const size_t newline = std::min(text.find('\n', end), text.size() - 1);
    if (!Trim(text.substr(end, newline + 1 - end)).empty()) --count;
    end = newline + 1;
  }
  return text.substr(0, end);
}

// Collects the documents of one file.
class Collector {
 public:
  Collector(const TaskSpec& spec, std::string_view task, const std::filesystem::path& file,
            int64_t limit)
      : reader_(spec, std::string(task), file), limit_(limit) {}

  void Add(const json& record, const std::string& place) {
    ++records_;
    if (records_ > limit_) return;
    auto [document, id] = reader_.Read(record, place, records_ - 1);
    if (!id.empty()) CheckId(id, document, place);
    documents_.push_back(std::move(document));
  }

  int64_t records() const { return records_; }
  std::vector<TaskDocument> Finish(bool limited) {
    reader_.CheckLabelFiles(static_cast<int64_t>(documents_.size()), limited);
    return std::move(documents_);
  }

 private:
  struct Seen {
    std::string place, sha256;
    int64_t gold;
  };

  // A record that occurs twice counts twice, as in the harness. Two different records with one id
  // mean that files were joined or edited.
  void CheckId(const std::string& id, const TaskDocument& document, const std::string& place) {
    const auto [first, is_new] = ids_.try_emplace(id, Seen{place, document.sha256, document.gold});
    const Seen& seen = first->second;
    if (is_new || (seen.sha256 == document.sha256 && seen.gold == document.gold)) return;
    throw MakeError<DataError>(
        "{}: the id '{}' was used before, at {}, for a record with other content; was the file "
        "joined from several? Give every record its own id",
        place, id, seen.place);
  }

  TaskRecordReader reader_;
  int64_t limit_;
  int64_t records_ = 0;
  std::vector<TaskDocument> documents_;
  std::unordered_map<std::string, Seen> ids_;
};

struct ReadDocuments {
  std::vector<TaskDocument> documents;
  bool limited = false;  // the file holds more
};

ReadDocuments ReadRecords(const TaskSpec& spec, std::string_view task, std::string_view text,
                          const std::filesystem::path& file, std::optional<int64_t> limit) {
  if (StartsWith(text, kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const int64_t most = limit.value_or(std::numeric_limits<int64_t>::max());
  Collector collector(spec, task, file, most);
  const auto add = [&](const json& record, const std::string& place) {
    collector.Add(record, place);
  };
  ReadDocuments read;
  if (StartsWith(Trim(text), "[")) {
    ForEachJsonElement(text, file, add);
    read.limited = collector.records() > most;
  } else {
    const std::string_view taken = limit ? FirstLines(text, *limit) : text;
    ForEachJsonLine(taken, file, add);
    read.limited = !Trim(text.substr(taken.size())).empty();
  }
  read.documents = collector.Finish(read.limited);
  return read;
}

void WarnOfSize(const TaskSpec& spec, const TaskSet& set) {
  const auto documents = static_cast<int64_t>(set.documents.size());
  if (spec.documents && documents != *spec.documents) {
    LogWarning(
        "{}: {} has {} documents, but the whole task has {}; scores are not comparable with those "
        "of the whole task",
        set.name, set.file, documents, *spec.documents);
  } else if (spec.requests && set.RequestCount() != *spec.requests) {
    LogWarning("{}: {} gives {} requests, but the original file gives {}; it was edited", set.name,
               set.file, set.RequestCount(), *spec.requests);
  }
}

std::string RequestsDigest(const std::vector<TaskDocument>& documents) {
  Sha256 hash;
  for (const TaskDocument& document : documents) {
    for (const Request& request : document.requests) {
      hash.Update(request.context).Update("\0", 1).Update(request.continuation).Update("\0", 1);
    }
  }
  return hash.Finish();
}

}  // namespace

int64_t TaskSet::RequestCount() const {
  int64_t count = 0;
  for (const TaskDocument& document : documents) {
    count += static_cast<int64_t>(document.requests.size());
  }
  return count;
}

std::filesystem::path FindTaskFile(std::string_view task, const DataRoots& roots) {
  return FindTaskFile(ReadTaskSpec(task), task, roots);
}

TaskSet LoadTask(const TaskSpec& spec, std::string_view task, const DataRoots& roots,
                 const TaskOptions& options) {
  if (options.limit && *options.limit < 1) {
    throw MakeError<ConfigError>("task {}: a limit of {} documents; expected at least 1", task,
                                 *options.limit);
  }
  const auto file = options.file ? *options.file : FindTaskFile(spec, task, roots);
  const std::string text = ReadFile(file);
  RequireRecordsFile(text, file);
  ReadDocuments read = ReadRecords(spec, task, text, file, options.limit);

  TaskSet set;
  set.name = task;
  if (read.limited) set.name = FormatTaskPart({set.name, options.limit});
  set.definition_sha256 = DefinitionSha256(spec);
  set.metrics = spec.metrics;
  set.fixed_choices = !spec.fixed_choices.empty();
  set.documents = std::move(read.documents);
  set.file = file.string();
  set.data_sha256 = Sha256Hex(text);
  set.known_file =
      std::find(spec.sha256.begin(), spec.sha256.end(), set.data_sha256) != spec.sha256.end();
  set.requests_sha256 = RequestsDigest(set.documents);
  set.known_requests = set.requests_sha256 == spec.requests_sha256;
  if (set.documents.empty()) {
    throw MakeError<DataError>("{}: holds no records; expected one JSON record per line", set.file);
  }
  if (!read.limited) WarnOfSize(spec, set);
  return set;
}

TaskSet LoadTask(std::string_view task, const DataRoots& roots, const TaskOptions& options) {
  return LoadTask(ReadTaskSpec(task), task, roots, options);
}

}  // namespace condense
