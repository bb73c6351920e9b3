// The beginnings of a few random documents (protocols.md 2.7), as in LLM-Pruner and Shortened-LLM:
// usually 10 documents of 64 or 128 ids.
//
// n times: draw documents until one that was not drawn before has at least L ids, its special token
// included; the sample is its first L ids.
#include <set>

#include "base/random.h"
#include "data/samplers/sampling.h"

namespace condense {
namespace {

class ShortDocs final : public CalibrationSampler {
 public:
  uint64_t default_seed() const override { return 0; }

  SampledSequences Sample(const SamplingJob& job) const override {
    PythonRandom random(job.seed);
    SampledSequences drawn;
    std::set<int64_t> tried;
    while (static_cast<int64_t>(drawn.sequences.size()) < job.samples &&
           static_cast<int64_t>(tried.size()) < job.corpus.size()) {
      const int64_t document = random.RandInt(0, job.corpus.size() - 1);
      if (!tried.insert(document).second) continue;
      std::vector<TokenId> ids = EncodeTruncated(
          job.tokenizer, job.corpus.rows[static_cast<size_t>(document)], job.length);
      if (static_cast<int64_t>(ids.size()) < job.length) continue;
      drawn.sequences.push_back(std::move(ids));
    }
    RequireSamples(job, drawn.sequences.size(), "its other documents are shorter");
    drawn.fraction_used =
        static_cast<double>(drawn.sequences.size()) / static_cast<double>(job.corpus.size());
    return drawn;
  }
};

CONDENSE_REGISTER(CalibrationSampler, ShortDocs, "short-docs", /*version=*/1,
                  "The beginnings of a few random documents (LLM-Pruner, Shortened-LLM).");

}  // namespace
}  // namespace condense
