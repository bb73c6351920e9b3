// Windows at random characters of the joined text (protocols.md 2.7), as in SVD-LLM and ASVD.
//
// C characters (code points); n times i = randint(0, C - L - 1), both ends included; characters
// [i, i + 10 L) are tokenised with the special token and cut to L ids. `char-windows` skips
// windows of fewer than L ids; `char-windows-dot` begins after the first "." and keeps short ones.
#include <algorithm>

#include "base/random.h"
#include "base/strings.h"
#include "data/samplers/sampling.h"
#include "data/text/python_text.h"

namespace condense {
namespace {

// Random access to a UTF-8 text by code point.
class Characters {
 public:
  explicit Characters(std::string text) : text_(std::move(text)) {
    for (size_t i = 0; i < text_.size(); ++i) {
      if ((static_cast<unsigned char>(text_[i]) & 0xC0) != 0x80) begins_.push_back(i);
    }
  }
  int64_t count() const { return static_cast<int64_t>(begins_.size()); }
  std::string_view Slice(int64_t begin, int64_t end) const {
    const size_t last = end < count() ? begins_[static_cast<size_t>(end)] : text_.size();
    const size_t first = begins_[static_cast<size_t>(begin)];
    return std::string_view(text_).substr(first, last - first);
  }

 private:
  std::string text_;
  std::vector<size_t> begins_;
};

// The text after the first full stop, stripped of white space; all of it if there is none.
std::string_view AfterFullStop(std::string_view text) {
  const size_t dot = text.find('.');
  return PythonStrip(dot == text.npos ? text : text.substr(dot + 1));
}

enum class Cut { kSkipShort, kAfterFullStop };

SampledSequences DrawCharacters(const SamplingJob& job, const std::string& join, Cut cut) {
  const Characters characters(Join(job.corpus.rows, join));
  if (characters.count() < job.length + 1) {
    throw TooSmall(job, characters.count(), job.length + 1, "characters");
  }
  PythonRandom random(job.seed);
  SampledSequences drawn;
  std::vector<int64_t> begins;
  for (int64_t n = 0; n < job.samples; ++n) {
    const int64_t begin = random.RandInt(0, characters.count() - job.length - 1);
    std::string_view text = characters.Slice(begin, begin + 10 * job.length);
    if (cut == Cut::kAfterFullStop) text = AfterFullStop(text);
    std::vector<TokenId> ids = EncodeTruncated(job.tokenizer, text, job.length);
    const bool is_short = static_cast<int64_t>(ids.size()) < job.length;
    if (ids.empty() || (is_short && cut == Cut::kSkipShort)) continue;
    drawn.sequences.push_back(std::move(ids));
    begins.push_back(begin);
  }
  // The original does not replace skipped windows, so there may be fewer than requested.
  if (drawn.sequences.empty()) RequireSamples(job, 0, "every window was too short");
  drawn.fraction_used = CoveredShare(begins, job.length, characters.count());
  return drawn;
}

class CharWindows final : public CalibrationSampler {
 public:
  using Params = JoinParams;
  explicit CharWindows(Params params) : params_(std::move(params)) {}
  uint64_t default_seed() const override { return 3; }
  SampledSequences Sample(const SamplingJob& job) const override {
    return DrawCharacters(job, params_.join, Cut::kSkipShort);
  }

 private:
  Params params_;
};

class CharWindowsDot final : public CalibrationSampler {
 public:
  using Params = JoinParams;
  explicit CharWindowsDot(Params params) : params_(std::move(params)) {}
  uint64_t default_seed() const override { return 0; }
  SampledSequences Sample(const SamplingJob& job) const override {
    return DrawCharacters(job, params_.join, Cut::kAfterFullStop);
  }

 private:
  Params params_;
};

CONDENSE_REGISTER(CalibrationSampler, CharWindows, "char-windows", /*version=*/1,
                  "Windows at random characters of the joined text (SVD-LLM, Swift-SVD).");
CONDENSE_REGISTER(CalibrationSampler, CharWindowsDot, "char-windows-dot", /*version=*/1,
                  "Windows that begin after a full stop near a random character (ASVD).");

}  // namespace
}  // namespace condense
