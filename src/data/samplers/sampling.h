// Steps that several samplers have in common.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/samplers/sampler.h"

namespace condense {

struct JoinParams {
  std::string join = "\n\n";
  template <class V>
  void Fields(V&& field) {
    field("join", join, "text between two rows");
  }
};

// All rows joined and tokenised once as one string, with the leading special token in front.
std::vector<TokenId> JoinedStream(const SamplingJob& job, std::string_view join);

// `text` with the leading special token, cut on the right to `length` ids.
std::vector<TokenId> EncodeTruncated(const Tokenizer& tokenizer, std::string_view text,
                                     int64_t length);

// The rows that are not empty, in order.
std::vector<std::string_view> NonEmptyRows(const Corpus& corpus);

// DataError unless all requested sequences were found or fewer are accepted.
void RequireSamples(const SamplingJob& job, size_t found, std::string_view why_fewer);

// The error of a corpus that is too small for one sequence: it has `found` of `unit`.
DataError TooSmall(const SamplingJob& job, int64_t found, int64_t needed, std::string_view unit);

// Share of [0, total) that windows of `length` at `begins` cover.
double CoveredShare(std::vector<int64_t> begins, int64_t length, int64_t total);

}  // namespace condense
