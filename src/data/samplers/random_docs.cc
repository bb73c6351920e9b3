// Random windows, each of another random document (protocols.md 2.3), as in the C4 loader of
// SparseGPT and Wanda.
//
// n times: draw documents until one, tokenised alone with its special token in front, has more than
// L ids; then i = randint(0, len - L - 1), both ends included, and the sample is ids [i, i + L).
#include <algorithm>
#include <set>

#include "base/random.h"
#include "data/samplers/sampling.h"

namespace condense {
namespace {

class RandomDocs final : public CalibrationSampler {
 public:
  uint64_t default_seed() const override { return 0; }

  SampledSequences Sample(const SamplingJob& job) const override {
    PythonRandom random(job.seed);
    SampledSequences drawn;
    std::set<int64_t> too_short, used;
    int64_t longest = 0;
    while (static_cast<int64_t>(drawn.sequences.size()) < job.samples) {
      const int64_t document = random.RandInt(0, job.corpus.size() - 1);
      if (too_short.count(document) > 0) continue;
      const std::vector<TokenId> ids =
          EncodeTruncated(job.tokenizer, job.corpus.rows[static_cast<size_t>(document)], INT64_MAX);
      const auto tokens = static_cast<int64_t>(ids.size());
      if (tokens <= job.length) {
        too_short.insert(document);
        longest = std::max(longest, tokens);
        if (static_cast<int64_t>(too_short.size()) < job.corpus.size()) continue;
        throw TooSmall(job, longest, job.length + 1, "ids in its longest document");
      }
      used.insert(document);
      const auto begin = ids.begin() + random.RandInt(0, tokens - job.length - 1);
      drawn.sequences.emplace_back(begin, begin + job.length);
    }
    drawn.fraction_used = static_cast<double>(used.size()) / static_cast<double>(job.corpus.size());
    return drawn;
  }
};

CONDENSE_REGISTER(
    CalibrationSampler, RandomDocs, "random-docs", /*version=*/1,
    "One random window per document, from random long documents (SparseGPT, Wanda on C4).");

}  // namespace
}  // namespace condense
