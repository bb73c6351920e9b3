// The contract of calibration samplers: how a list of token sequences is drawn from a corpus
// (protocols.md 2.2 - 2.7). Each sampler is one file in samplers/ and imitates one published
// program, including its generator and default seed; the same job always gives the same ids.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/registry.h"
#include "data/text/corpus.h"
#include "tokenizer/tokenizer.h"

namespace condense {

struct SamplingJob {
  const Corpus& corpus;
  const Tokenizer& tokenizer;
  int64_t samples = 0;
  int64_t length = 0;  // ids per sequence
  uint64_t seed = 0;
  bool allow_fewer = false;  // accept fewer than `samples` if the corpus is too small
};

struct SampledSequences {
  std::vector<std::vector<TokenId>> sequences;  // in draw order, at most `length` ids each
  double fraction_used = 0;                     // of the corpus, by the sampler's own unit
};

class CalibrationSampler {
 public:
  static constexpr const char* kKind = "calibration sampler";

  virtual ~CalibrationSampler() = default;
  virtual uint64_t default_seed() const = 0;
  // DataError with numbers when the corpus is too small.
  virtual SampledSequences Sample(const SamplingJob& job) const = 0;
};

}  // namespace condense
