#include "calibration/score_statistics.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "kernels/pair_terms.h"

namespace condense {
namespace {

// Numbers that a chunk holds for each of its queries, keys and columns: of the size of a cache on a
// CPU, large enough to hide the time of a launch on a GPU.
constexpr int64_t kNumbersOnCpu = int64_t{1} << 20, kNumbersOnDevice = int64_t{1} << 27;
// Queries are visited in at least so many chunks of a sequence, because keys after the last query
// of a chunk are not visited: half of a chunk's own span is computed in vain.
constexpr int64_t kChunksOfASequence = 8;
// Least width of a panel of a second moment. What a panel has below the diagonal is computed in
// vain; narrow ones make products inefficient.
constexpr int64_t kLeastPanel = 32, kPanels = 4;

// Some queries of some heads of all sequences, with the keys that they see; n = heads x sequences.
struct Chunk {
  Tensor attention;       // P [n, queries, keys]
  Tensor queries;         // [n, queries, w]
  Tensor keys;            // [n, w, keys]
  Tensor Means() const {  // sum_s P_ts k_s: [n, queries, w]
    return at::bmm(attention, keys.transpose(1, 2));
  }
};

class ScoreSums : public ScoreAccumulator {
 public:
  ScoreSums(const std::vector<HeadConfig>& heads, const ScoreSample& sample)
      : heads_(heads), sample_(sample) {
    CONDENSE_CHECK(!heads.empty() && sample.query_stride >= 1, "{} heads, every {} queries",
                   heads.size(), sample.query_stride);
    for (size_t j = 0; j < heads.size(); ++j) {
      CONDENSE_CHECK(heads[j].qk_width == heads[0].qk_width,
                     "heads of width {} and {} in one layer", heads[0].qk_width, heads[j].qk_width);
      owners_.insert(owners_.end(), static_cast<size_t>(heads[j].queries), static_cast<int64_t>(j));
    }
  }

  void Add(const Tensor& queries, const Tensor& keys, double scale) override {
    if (!sum_.defined()) {
      sum_ = at::zeros({query_heads(), width(), width()}, queries.options().dtype(kF64));
    }
    std::vector<int64_t> chosen;
    for (int64_t b = 0; b < queries.size(0); ++b) {
      if (sample_.Visits(sequences_++)) chosen.push_back(b);
    }
    if (chosen.empty()) return;
    const bool all = static_cast<int64_t>(chosen.size()) == queries.size(0);
    const Tensor rows = at::tensor(chosen, kI64).to(queries.device());
    AddSequences(all ? queries : queries.index_select(0, rows),
                 all ? keys : keys.index_select(0, rows), scale);
  }

  void Merge(const ScoreAccumulator& other) override {
    const auto& more = dynamic_cast<const ScoreSums&>(other);
    if (more.sum_.defined()) sum_ = sum_.defined() ? sum_ + more.sum_ : more.sum_;
    sequences_ += more.sequences_;
  }

  Tensor Finish() const override {
    CONDENSE_CHECK(sum_.defined(), "no queries were visited");
    return (sum_.triu() + sum_.triu(1).transpose(1, 2)).cpu();
  }

 protected:
  int64_t width() const { return heads_[0].qk_width; }
  // What a chunk adds: [n, w, w], of which only what is on and above the diagonal counts.
  virtual Tensor OfChunk(const Chunk& chunk) const = 0;

 private:
  int64_t query_heads() const { return static_cast<int64_t>(owners_.size()); }

  // queries, keys: [batch, tokens, heads side by side].
  void AddSequences(const Tensor& queries, const Tensor& keys, double scale) const {
    const DType dtype = queries.scalar_type() == kF64 ? kF64 : kF32;
    const int64_t w = width(), batch = keys.size(0), tokens = keys.size(1);
    // Query first + i * stride is the i-th that is visited; at least one of each sequence.
    const int64_t stride = sample_.query_stride, first = std::min(stride, tokens) - 1;
    const int64_t count = (tokens - 1 - first) / stride + 1;
    const Tensor visited = queries.slice(1, first, tokens, stride)
                               .to(dtype)
                               .unflatten(-1, {-1, w})
                               .permute({2, 0, 1, 3});  // [query heads, batch, count, w]
    // A shift of all keys changes neither the attention nor a covariance, and digits are lost where
    // the mean is large.
    const Tensor wide = keys.to(dtype);
    const Tensor centred = (wide - wide.mean(1, /*keepdim=*/true))
                               .unflatten(-1, {-1, w})
                               .permute({2, 0, 3, 1});  // [key heads, batch, w, tokens]
    const int64_t limit = queries.is_cpu() ? kNumbersOnCpu : kNumbersOnDevice;
    const int64_t of_a_query = batch * tokens * w;
    const int64_t step = std::clamp<int64_t>(count / kChunksOfASequence, 1,
                                             std::max<int64_t>(1, limit / of_a_query));
    const int64_t heads = std::max<int64_t>(1, limit / (step * of_a_query));
    for (int64_t h = 0; h < query_heads(); h += heads) {
      const int64_t some = std::min(heads, query_heads() - h);
      const Tensor own = at::tensor(at::ArrayRef<int64_t>(owners_).slice(h, some), kI64);
      const Tensor k = centred.index_select(0, own.to(centred.device())).contiguous().flatten(0, 1);
      const Tensor q = visited.narrow(0, h, some).flatten(0, 1);  // [n, count, w]
      for (int64_t i = 0; i < count; i += step) {
        const int64_t these = std::min(step, count - i);
        const Chunk chunk = ChunkOf(q.narrow(1, i, these), k, first + i * stride, scale);
        sum_.narrow(0, h, some) += OfChunk(chunk).view({some, batch, w, w}).to(kF64).sum(1);
      }
    }
  }

  // queries: [n, some, w], at tokens `first`, `first` + stride, ...; keys: [n, w, tokens].
  Chunk ChunkOf(const Tensor& queries, const Tensor& keys, int64_t first, double scale) const {
    const int64_t some = queries.size(1), stride = sample_.query_stride;
    const int64_t seen = first + (some - 1) * stride + 1;
    Chunk chunk{.attention = {}, .queries = queries, .keys = keys.narrow(2, 0, seen)};
    const Tensor places = at::arange(some, queries.options().dtype(kI64)) * stride + first;
    const Tensor later = at::arange(seen, places.options()) > places.unsqueeze(1);  // [some, seen]
    chunk.attention =
        at::softmax(at::bmm(queries, chunk.keys)
                        .mul_(scale)
                        .masked_fill_(later, -std::numeric_limits<double>::infinity()),
                    -1);
    return chunk;
  }

  std::vector<HeadConfig> heads_;
  ScoreSample sample_;
  std::vector<int64_t> owners_;  // the key head of each query head
  int64_t sequences_ = 0;        // so far
  Tensor sum_;
};

class KeyCovarianceSums final : public ScoreSums {
 public:
  using ScoreSums::ScoreSums;

 private:
  Tensor OfChunk(const Chunk& chunk) const override {
    const Tensor weighted = chunk.keys * chunk.attention.sum(1, /*keepdim=*/true);
    const Tensor means = chunk.Means();
    return at::bmm(weighted, chunk.keys.transpose(1, 2)) - at::bmm(means.transpose(1, 2), means);
  }
};

// With the terms (e, e') of all rows (query, key), less their means and times the root of the
// attention, the metric is their second moment. The means are linear in the keys: they are the
// terms of the mean key.
class PairMetricSums final : public ScoreSums {
 public:
  PairMetricSums(const std::vector<HeadConfig>& heads, const ScoreSample& sample)
      : ScoreSums(heads, sample) {
    CONDENSE_CHECK(width() % 2 == 0, "pairs of {} columns", width());
  }

 private:
  Tensor OfChunk(const Chunk& chunk) const override {
    const Tensor terms =
        CentredPairTerms(chunk.queries, chunk.keys, TermsOfMeans(chunk.queries, chunk.Means()),
                         chunk.attention.sqrt())
            .flatten(2, 3);  // [n, 2f, rows]
    return UpperSecondMoment(terms);
  }

  static Tensor TermsOfMeans(const Tensor& q, const Tensor& mean) {
    const Tensor q1 = q.chunk(2, 2)[0], q2 = q.chunk(2, 2)[1];
    const Tensor k1 = mean.chunk(2, 2)[0], k2 = mean.chunk(2, 2)[1];
    return at::cat({q1 * k1 + q2 * k2, q1 * k2 - q2 * k1}, 2);
  }

  // Of rows [n, 2f, rows]: [n, 2f, 2f], on and above the diagonal.
  static Tensor UpperSecondMoment(const Tensor& rows) {
    const int64_t w = rows.size(1);
    const int64_t panel = rows.is_cpu() ? std::max(kLeastPanel, (w + kPanels - 1) / kPanels) : w;
    Tensor sum = at::zeros({rows.size(0), w, w}, rows.options());
    for (int64_t begin = 0; begin < w; begin += panel) {
      const int64_t width = std::min(panel, w - begin);
      sum.narrow(1, begin, width)
          .narrow(2, begin, w - begin)
          .copy_(at::bmm(rows.narrow(1, begin, width),
                         rows.narrow(1, begin, w - begin).transpose(1, 2)));
    }
    return sum;
  }
};

}  // namespace

bool ScoreSample::Visits(int64_t sequence) const {
  if (sequences == 0) return true;
  if (of == 0) return sequence < sequences;
  if (sequences >= of) return true;
  return (sequence + 1) * sequences / of > sequence * sequences / of;
}

std::unique_ptr<ScoreAccumulator> MakeScoreAccumulator(StatKind kind,
                                                       const std::vector<HeadConfig>& heads,
                                                       const ScoreSample& sample) {
  if (kind == StatKind::kPairMetric) return std::make_unique<PairMetricSums>(heads, sample);
  CONDENSE_CHECK(kind == StatKind::kKeyCovariance, "not a statistic of scores");
  return std::make_unique<KeyCovarianceSums>(heads, sample);
}

}  // namespace condense
