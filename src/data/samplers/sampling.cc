#include "data/samplers/sampling.h"

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "data/text/leading_token.h"

namespace condense {

std::vector<TokenId> JoinedStream(const SamplingJob& job, std::string_view join) {
  return EncodeTruncated(job.tokenizer, Join(job.corpus.rows, join), INT64_MAX);
}

std::vector<TokenId> EncodeTruncated(const Tokenizer& tokenizer, std::string_view text,
                                     int64_t length) {
  std::vector<TokenId> ids = tokenizer.Encode(text, SpecialTokens::kNone);
  if (const auto leading = LeadingToken(tokenizer)) ids.insert(ids.begin(), *leading);
  if (static_cast<int64_t>(ids.size()) > length) ids.resize(static_cast<size_t>(length));
  return ids;
}

std::vector<std::string_view> NonEmptyRows(const Corpus& corpus) {
  std::vector<std::string_view> rows;
  for (const std::string& row : corpus.rows) {
    if (!row.empty()) rows.emplace_back(row);
  }
  return rows;
}

void RequireSamples(const SamplingJob& job, size_t found, std::string_view why_fewer) {
  const auto count = static_cast<int64_t>(found);
  if (count == job.samples || (job.allow_fewer && count > 0)) return;
  throw MakeError<DataError>(
      "corpus {}, split '{}': {} sequences of {} ids were requested, but it gives {} ({}); request "
      "fewer or shorter ones{}",
      job.corpus.name, job.corpus.split, job.samples, job.length, count, why_fewer,
      count > 0 ? ", or set allow_fewer: true" : "");
}

DataError TooSmall(const SamplingJob& job, int64_t found, int64_t needed, std::string_view unit) {
  return MakeError<DataError>(
      "corpus {}, split '{}': has {} {}, but a sequence of {} ids needs {}; use a longer text or "
      "shorter sequences",
      job.corpus.name, job.corpus.split, found, unit, job.length, needed);
}

double CoveredShare(std::vector<int64_t> begins, int64_t length, int64_t total) {
  std::sort(begins.begin(), begins.end());
  int64_t covered = 0, end = 0;
  for (const int64_t begin : begins) {
    covered += std::max<int64_t>(0, begin + length - std::max(begin, end));
    end = std::max(end, begin + length);
  }
  return static_cast<double>(covered) / static_cast<double>(total);
}

}  // namespace condense
