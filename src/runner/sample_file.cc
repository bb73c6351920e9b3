#include "runner/sample_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"

namespace condense {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

OrderedJson ToJson(const std::string& task, const DocumentScore& document) {
  OrderedJson line = {{"task", task},
                      {"doc", document.index},
                      {"sha256", document.sha256},
                      {"gold", document.gold},
                      {"truncated", document.truncated}};
  const auto column = [&](const char* name, auto ChoiceScore::*member) {
    OrderedJson values = OrderedJson::array();
    for (const ChoiceScore& choice : document.choices) values.push_back(choice.*member);
    line[name] = std::move(values);
  };
  column("log_likelihoods", &ChoiceScore::log_likelihood);
  column("tokens", &ChoiceScore::tokens);
  column("code_points", &ChoiceScore::code_points);
  column("bytes", &ChoiceScore::bytes);
  column("greedy", &ChoiceScore::greedy);
  return line;
}

DocumentScore FromJson(const Json& line) {
  DocumentScore document{.index = line.at("doc"),
                         .sha256 = line.at("sha256"),
                         .gold = line.at("gold"),
                         .truncated = line.at("truncated")};
  const size_t choices = line.at("log_likelihoods").size();
  for (size_t c = 0; c < choices; ++c) {
    document.choices.push_back({.log_likelihood = line.at("log_likelihoods").at(c),
                                .tokens = line.at("tokens").at(c),
                                .code_points = line.at("code_points").at(c),
                                .bytes = line.at("bytes").at(c),
                                .greedy = line.at("greedy").at(c)});
  }
  return document;
}

Json HeaderOf(const SampleFile::Identity& identity) {
  return {{"model", identity.model}, {"protocol", identity.protocol}, {"tasks", identity.tasks}};
}

}  // namespace

SampleFile::SampleFile(fs::path path, const Identity& identity) : path_(std::move(path)) {
  part_ = path_;
  part_ += ".part";
  const std::string header = HeaderOf(identity).dump();
  if (!fs::exists(part_)) {
    WriteFileAtomically(part_, header + "\n");
    return;
  }
  const std::string text = ReadFile(part_);
  std::vector<std::string> lines = Split(text, '\n');
  if (lines.front() != header) {
    throw MakeError<ConfigError>(
        "{}: left by an evaluation of another model, protocol or set of tasks; remove it, or "
        "name another file with --samples",
        part_.string());
  }
  lines.pop_back();  // what follows the last newline was cut off while it was written
  std::string whole = header + "\n";
  size_t documents = 0;
  for (size_t i = 1; i < lines.size(); ++i) {
    const Json line = Json::parse(lines[i], nullptr, /*allow_exceptions=*/false);
    try {
      done_[line.at("task")].push_back(FromJson(line));
    } catch (const Json::exception&) {
      throw MakeError<DataError>("{}:{}: not a line of scores; remove the file to start over",
                                 part_.string(), i + 1);
    }
    whole += lines[i] + "\n";
    ++documents;
  }
  WriteFileAtomically(part_, whole);
  LogInfo("{}: resuming after {} documents", part_.string(), documents);
}

std::vector<DocumentScore> SampleFile::Done(const std::string& task) const {
  const auto found = done_.find(task);
  return found == done_.end() ? std::vector<DocumentScore>{} : found->second;
}

void SampleFile::Keep(const std::string& task, std::span<const DocumentScore> documents) {
  std::ofstream out(part_, std::ios::app);
  for (const DocumentScore& document : documents) out << ToJson(task, document).dump() << "\n";
  out.flush();
  if (!out) throw MakeError<DataError>("{}: cannot be written", part_.string());
}

void SampleFile::Finish(const std::vector<TaskSet>& tasks, const std::vector<TaskScores>& scores) {
  std::string text;
  for (size_t t = 0; t < tasks.size(); ++t) {
    for (size_t d = 0; d < tasks[t].documents.size(); ++d) {
      const DocumentScore& document = scores[t].documents[d];
      OrderedJson line = ToJson(scores[t].task, document);
      line["protocol"] = scores[t].protocol;
      OrderedJson requests = OrderedJson::array();
      for (const Request& request : tasks[t].documents[d].requests) {
        requests.push_back({request.context, request.continuation});
      }
      line["requests"] = std::move(requests);
      for (const TaskMetric metric : tasks[t].metrics) {
        if (metric == TaskMetric::kPerplexity) continue;
        const bool right = metric == TaskMetric::kGreedy
                               ? document.choices.front().greedy
                               : Prediction(document, metric) == document.gold;
        line[StoredName(metric)] = right ? 1 : 0;
      }
      text += line.dump() + "\n";
    }
  }
  WriteFileAtomically(path_, text);
  fs::remove(part_);
}

}  // namespace condense
