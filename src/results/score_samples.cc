#include "results/score_samples.h"

#include <fmt/format.h>

#include <charconv>

#include "base/error.h"
#include "base/strings.h"

namespace condense {
namespace {

constexpr size_t kDigestBytes = 32;

void AppendDigest(const std::string& hex, std::vector<uint8_t>& bytes) {
  CONDENSE_CHECK(hex.size() == 2 * kDigestBytes, "'{}' is not a SHA-256", hex);
  for (size_t i = 0; i < hex.size(); i += 2) {
    uint8_t byte = 0;
    const auto [end, error] = std::from_chars(hex.data() + i, hex.data() + i + 2, byte, 16);
    CONDENSE_CHECK(error == std::errc() && end == hex.data() + i + 2, "'{}' is not a SHA-256", hex);
    bytes.push_back(byte);
  }
}

// The arrays of one task by name.
class Columns {
 public:
  explicit Columns(const std::vector<SampleRecord>& records) : records_(records) {
    for (const SampleRecord& record : records) {
      if (record.protocol == records[0].protocol && record.task == records[0].task) continue;
      throw MakeError<DataError>(
          "scores of {} {} and of {} {} are mixed up in the results database", records[0].protocol,
          records[0].task, record.protocol, record.task);
    }
  }

  std::string protocol() const { return records_.empty() ? "" : records_[0].protocol; }
  std::string task() const { return records_.empty() ? "" : records_[0].task; }

  // `size` elements, in rows of `columns`.
  template <class T>
  const std::vector<T>& Get(const std::string& name, size_t size, size_t columns = 1) const {
    const std::vector<T>& values = Get<T>(name);
    if (values.size() != size * columns) {
      throw MakeError<DataError>("{}: {} values, expected {}; the results database is damaged",
                                 PlaceOf(name), values.size(), size * columns);
    }
    return values;
  }

  template <class T>
  const std::vector<T>& Get(const std::string& name) const {
    for (const SampleRecord& record : records_) {
      if (record.name != name) continue;
      if (const auto* values = std::get_if<std::vector<T>>(&record.values.values)) return *values;
      throw MakeError<DataError>(
          "{}: has another type of number than expected; the results database is damaged or was "
          "written by a newer program",
          PlaceOf(name));
    }
    throw MakeError<DataError>(
        "{}: missing; the results database is damaged, or these are not scores of a task",
        PlaceOf(name));
  }

 private:
  std::string PlaceOf(const std::string& name) const {
    return fmt::format("samples {} {} {}", protocol(), task(), name);
  }

  const std::vector<SampleRecord>& records_;
};

// The documents with their choices still empty.
std::vector<DocumentScore> UnpackFrames(const Columns& columns) {
  const auto& indices = columns.Get<int64_t>("document_index");
  const size_t count = indices.size();
  const auto& golds = columns.Get<int64_t>("gold", count);
  const auto& choices = columns.Get<int64_t>("choices", count);
  const auto& truncated = columns.Get<uint8_t>("truncated", count);
  const auto& digests = columns.Get<uint8_t>("document_sha256", count, kDigestBytes);
  std::vector<DocumentScore> documents(count);
  for (size_t i = 0; i < count; ++i) {
    DocumentScore& document = documents[i];
    document.index = indices[i];
    document.gold = golds[i];
    document.truncated = truncated[i] != 0;
    document.sha256 = ToHex(digests.data() + i * kDigestBytes, kDigestBytes);
    if (choices[i] < 1 || choices[i] > 1'000'000 || golds[i] < 0 || golds[i] >= choices[i]) {
      throw MakeError<DataError>(
          "scores of {} {}, document {}: {} choices, the right one is {}; the results database is "
          "damaged",
          columns.protocol(), columns.task(), indices[i], choices[i], golds[i]);
    }
  }
  return documents;
}

}  // namespace

std::vector<SampleRecord> PackDocuments(std::string_view protocol, std::string_view task,
                                        std::span<const DocumentScore> documents) {
  std::vector<int64_t> index, gold, choices;
  std::vector<double> log_likelihood;
  std::vector<int32_t> tokens, code_points, bytes;
  std::vector<uint8_t> digest, truncated, greedy;
  for (const DocumentScore& document : documents) {
    index.push_back(document.index);
    gold.push_back(document.gold);
    choices.push_back(static_cast<int64_t>(document.choices.size()));
    truncated.push_back(document.truncated ? 1 : 0);
    AppendDigest(document.sha256, digest);
    for (const ChoiceScore& choice : document.choices) {
      log_likelihood.push_back(choice.log_likelihood);
      tokens.push_back(static_cast<int32_t>(choice.tokens));
      code_points.push_back(static_cast<int32_t>(choice.code_points));
      bytes.push_back(static_cast<int32_t>(choice.bytes));
      greedy.push_back(choice.greedy ? 1 : 0);
    }
  }
  const auto record = [&](const char* name, auto values, uint64_t columns = 1) {
    return SampleRecord{
        std::string(protocol), std::string(task), name, {std::move(values), columns}};
  };
  return {record("document_index", std::move(index)),
          record("document_sha256", std::move(digest), kDigestBytes),
          record("gold", std::move(gold)),
          record("truncated", std::move(truncated)),
          record("choices", std::move(choices)),
          record("log_likelihood", std::move(log_likelihood)),
          record("tokens", std::move(tokens)),
          record("code_points", std::move(code_points)),
          record("bytes", std::move(bytes)),
          record("greedy", std::move(greedy))};
}

std::vector<DocumentScore> UnpackDocuments(const std::vector<SampleRecord>& records) {
  const Columns columns(records);
  std::vector<DocumentScore> documents = UnpackFrames(columns);
  const auto& choices = columns.Get<int64_t>("choices");
  size_t total = 0;
  for (const int64_t count : choices) total += static_cast<size_t>(count);
  const auto& log_likelihood = columns.Get<double>("log_likelihood", total);
  const auto& tokens = columns.Get<int32_t>("tokens", total);
  const auto& code_points = columns.Get<int32_t>("code_points", total);
  const auto& bytes = columns.Get<int32_t>("bytes", total);
  const auto& greedy = columns.Get<uint8_t>("greedy", total);
  size_t next = 0;
  for (size_t i = 0; i < documents.size(); ++i) {
    for (int64_t c = 0; c < choices[i]; ++c, ++next) {
      documents[i].choices.push_back(
          {log_likelihood[next], tokens[next], code_points[next], bytes[next], greedy[next] != 0});
    }
  }
  return documents;
}

std::vector<SampleRecord> PackScores(const TaskScores& scores) {
  std::vector<SampleRecord> records = PackDocuments(scores.protocol, scores.task, scores.documents);
  std::vector<uint8_t> digest;
  AppendDigest(scores.requests_sha256, digest);
  const std::vector<uint8_t> fixed = {static_cast<uint8_t>(scores.fixed_choices ? 1 : 0)};
  records.push_back({scores.protocol, scores.task, "requests_sha256", {digest, kDigestBytes}});
  records.push_back({scores.protocol, scores.task, "fixed_choices", {fixed, 1}});
  return records;
}

TaskScores UnpackScores(const std::vector<SampleRecord>& records) {
  const Columns columns(records);
  TaskScores scores{.task = columns.task(), .protocol = columns.protocol()};
  scores.requests_sha256 =
      ToHex(columns.Get<uint8_t>("requests_sha256", 1, kDigestBytes).data(), kDigestBytes);
  scores.fixed_choices = columns.Get<uint8_t>("fixed_choices", 1)[0] != 0;
  scores.documents = UnpackDocuments(records);
  return scores;
}

bool HoldsScores(const std::vector<SampleRecord>& records) {
  for (const SampleRecord& record : records) {
    if (record.name == "requests_sha256") return true;
  }
  return false;
}

}  // namespace condense
