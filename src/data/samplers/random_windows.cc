// Windows at random positions of the joined text (protocols.md 2.2), as in SparseGPT's loader.
//
// T ids; n times i = randint(0, T - L - 1), both ends included; the sample is ids [i, i + L).
// Windows may overlap or repeat; only the one at 0 holds the special token.
#include "base/random.h"
#include "data/samplers/sampling.h"

namespace condense {
namespace {

SampledSequences DrawWindows(const SamplingJob& job, const std::string& join) {
  const std::vector<TokenId> stream = JoinedStream(job, join);
  const auto tokens = static_cast<int64_t>(stream.size());
  if (tokens < job.length + 1) throw TooSmall(job, tokens, job.length + 1, "ids");
  PythonRandom random(job.seed);
  SampledSequences drawn;
  std::vector<int64_t> begins;
  for (int64_t n = 0; n < job.samples; ++n) {
    begins.push_back(random.RandInt(0, tokens - job.length - 1));
    const auto begin = stream.begin() + begins.back();
    drawn.sequences.emplace_back(begin, begin + job.length);
  }
  drawn.fraction_used = CoveredShare(begins, job.length, tokens);
  return drawn;
}

class RandomWindows final : public CalibrationSampler {
 public:
  struct Params : JoinParams {
    Params() { join = " "; }
  };
  explicit RandomWindows(Params params) : params_(std::move(params)) {}
  uint64_t default_seed() const override { return 0; }
  SampledSequences Sample(const SamplingJob& job) const override {
    return DrawWindows(job, params_.join);
  }

 private:
  Params params_;
};

class RandomWindowsNn final : public CalibrationSampler {
 public:
  using Params = JoinParams;
  explicit RandomWindowsNn(Params params) : params_(std::move(params)) {}
  uint64_t default_seed() const override { return 0; }
  SampledSequences Sample(const SamplingJob& job) const override {
    return DrawWindows(job, params_.join);
  }

 private:
  Params params_;
};

CONDENSE_REGISTER(
    CalibrationSampler, RandomWindows, "random-windows", /*version=*/1,
    "Windows at random positions of the rows joined by a space (SparseGPT, Wanda, FLAP).");
CONDENSE_REGISTER(
    CalibrationSampler, RandomWindowsNn, "random-windows-nn", /*version=*/1,
    "Windows at random positions of the rows joined by an empty line (GPTQ-style loaders).");

}  // namespace
}  // namespace condense
