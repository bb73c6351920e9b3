#include "calibration/score_statistics.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

// Queries that are visited at a time. Keys after the last query of a chunk are not visited: short
// chunks save work, long ones make products efficient.
constexpr int64_t kShortestChunk = 32, kLongestChunk = 128, kChunksOfASequence = 4;
// Numbers in a block of products of keys.
constexpr int64_t kBlockNumbers = int64_t{1} << 22;
// Least number of blocks of pairs. What a block has below the diagonal is computed in vain.
constexpr int64_t kBlocksOfPairs = 4;

// Some queries of one key/value head's group, with the keys that they see.
struct Chunk {
  Tensor attention;  // P [batch, g, queries, keys]
  Tensor queries;    // [batch, g, queries, w]
  Tensor keys;       // [batch, keys, w]
};

class ScoreSums : public ScoreAccumulator {
 public:
  ScoreSums(const std::vector<HeadConfig>& heads, int64_t query_stride)
      : heads_(heads), stride_(query_stride) {
    CONDENSE_CHECK(!heads.empty() && query_stride >= 1, "{} heads, every {} queries", heads.size(),
                   query_stride);
    for (const HeadConfig& head : heads) {
      CONDENSE_CHECK(head.qk_width == heads[0].qk_width, "heads of width {} and {} in one layer",
                     heads[0].qk_width, head.qk_width);
      query_heads_ += head.queries;
    }
  }

  void Add(const Tensor& queries, const Tensor& keys, double scale) override {
    const DType dtype = queries.scalar_type() == kF64 ? kF64 : kF32;
    const int64_t w = width();
    if (!sum_.defined()) {
      sum_ = at::zeros({query_heads_, w, w}, queries.options().dtype(kF64));
    }
    int64_t query = 0;
    for (size_t j = 0; j < heads_.size(); ++j) {
      const int64_t g = heads_[j].queries;
      const Tensor q = queries.narrow(-1, query * w, g * w).to(dtype);
      const Tensor k = keys.narrow(-1, static_cast<int64_t>(j) * w, w).to(dtype);
      AddGroup(q.unflatten(-1, {g, w}).transpose(1, 2), k, scale, sum_.narrow(0, query, g));
      query += g;
    }
  }

  void Merge(const ScoreAccumulator& other) override {
    const Tensor& sum = dynamic_cast<const ScoreSums&>(other).sum_;
    if (sum.defined()) sum_ = sum_.defined() ? sum_ + sum : sum;
  }

  Tensor Finish() const override {
    CONDENSE_CHECK(sum_.defined(), "no queries were visited");
    return Symmetrised(sum_).cpu();
  }

 protected:
  int64_t width() const { return heads_[0].qk_width; }
  // What a chunk adds: [g, w, w] float64.
  virtual Tensor OfChunk(const Chunk& chunk) const = 0;

 private:
  // queries: [batch, g, tokens, w]; keys: [batch, tokens, w].
  void AddGroup(const Tensor& queries, const Tensor& keys, double scale, Tensor sum) const {
    const int64_t tokens = keys.size(1), g = queries.size(1);
    // At least one query of each sequence.
    const Tensor places = at::arange(std::min(stride_, tokens) - 1, tokens, stride_, kI64);
    const Tensor visited = queries.index_select(2, places.to(queries.device()));
    // A shift of all keys changes neither the attention nor a covariance, and digits are lost where
    // the mean is large.
    const Tensor centred = keys - keys.mean(1, /*keepdim=*/true);
    const int64_t step =
        std::clamp(places.size(0) / kChunksOfASequence, kShortestChunk, kLongestChunk);
    for (int64_t first = 0; first < places.size(0); first += step) {
      const int64_t count = std::min(step, places.size(0) - first);
      const Tensor at_tokens = places.narrow(0, first, count);
      const int64_t seen = at_tokens[count - 1].item<int64_t>() + 1;
      Chunk chunk{.attention = {},
                  .queries = visited.narrow(2, first, count).contiguous(),
                  .keys = centred.narrow(1, 0, seen)};
      const Tensor scores =
          at::bmm(chunk.queries.flatten(1, 2), chunk.keys.transpose(1, 2)).mul_(scale);
      const Tensor later = at::arange(seen, kI64) > at_tokens.unsqueeze(1);  // [count, seen]
      chunk.attention = at::softmax(
          scores.view({-1, g, count, seen})
              .masked_fill_(later.to(scores.device()), -std::numeric_limits<double>::infinity()),
          -1);
      sum += OfChunk(chunk);
    }
  }

  std::vector<HeadConfig> heads_;
  int64_t stride_, query_heads_ = 0;
  Tensor sum_;
};

class KeyCovarianceSums final : public ScoreSums {
 public:
  using ScoreSums::ScoreSums;

 private:
  Tensor OfChunk(const Chunk& chunk) const override {
    const Tensor keys = chunk.keys.unsqueeze(1);                          // [batch, 1, keys, w]
    const Tensor weighted = keys * chunk.attention.sum(2).unsqueeze(-1);  // [batch, g, keys, w]
    const Tensor second = at::matmul(weighted.transpose(2, 3), keys);     // [batch, g, w, w]
    const Tensor means = at::matmul(chunk.attention, keys);               // [batch, g, queries, w]
    return second.to(kF64).sum(0) - at::matmul(means.transpose(2, 3), means).to(kF64).sum(0);
  }
};

// Second moments first, the part of the means from them at the end. With the halves q_1, q_2 of a
// query, G_ee[j, l] = sum_t sum_ab q_aj q_bl D_ab,jl, where D_ab,jl = sum_s P_ts k_aj k_bl, and e'
// on a side has (r_1, r_2) = (-q_2, q_1) there. Only j <= l is made: half of what D_t takes. Tokens
// are the last dimension throughout, so that every operation runs along memory.
class PairMetricSums final : public ScoreSums {
 public:
  PairMetricSums(const std::vector<HeadConfig>& heads, int64_t query_stride)
      : ScoreSums(heads, query_stride) {
    CONDENSE_CHECK(width() % 2 == 0, "pairs of {} columns", width());
  }

 private:
  Tensor OfChunk(const Chunk& chunk) const override {
    const int64_t g = chunk.queries.size(1), f = width() / 2;
    const Tensor k = chunk.keys.transpose(1, 2).contiguous().unflatten(1, {2, f});
    const Tensor q = chunk.queries.transpose(2, 3).contiguous().unflatten(2, {2, f});
    // q: [batch, g, half, pairs, queries]; k: [batch, half, pairs, keys]
    Tensor sum = at::zeros({g, 2, f, 2, f}, q.options().dtype(kF64));
    const int64_t numbers = 4 * k.size(0) * f * k.size(3);  // of the products with one pair
    const int64_t step =
        std::clamp<int64_t>(kBlockNumbers / numbers, 1, std::max<int64_t>(f / kBlocksOfPairs, 1));
    for (int64_t j = 0; j < f; j += step) {
      const int64_t rows = std::min(step, f - j);
      const Tensor products =  // [batch, half, half, rows, columns, keys]
          k.narrow(2, j, rows).unsqueeze(2).unsqueeze(4) *
          k.narrow(2, j, f - j).unsqueeze(1).unsqueeze(3);
      for (int64_t i = 0; i < g; ++i) {
        const Tensor moments =
            at::bmm(products.flatten(1, 4), chunk.attention.select(1, i).transpose(1, 2))
                .view({-1, 2, 2, rows, f - j, q.size(4)});
        sum[i].narrow(1, j, rows).narrow(3, j, f - j) += Contracted(moments, q.select(1, i), j);
      }
    }
    sum = Completed(sum);
    const Tensor means = at::matmul(chunk.attention, chunk.keys.unsqueeze(1)).transpose(2, 3);
    const Tensor terms = Terms(q, means.unflatten(2, {2, f}));  // [batch, g, 2f, queries]
    return sum - at::matmul(terms, terms.transpose(2, 3)).to(kF64).sum(0);
  }

  // moments: D of pairs `first` ... and of all from `first` on, [batch, a, b, rows, columns,
  // queries]; q: [batch, half, pairs, queries]. The block of G: [side, rows, side, columns], a side
  // is e or e'.
  static Tensor Contracted(const Tensor& moments, const Tensor& q, int64_t first) {
    const int64_t rows = moments.size(3), columns = moments.size(4);
    const auto half = [&](int64_t b, int64_t count) {
      return q.select(1, b).narrow(1, first, count);  // [batch, count, queries]
    };
    const auto over_columns = [&](int64_t b) { return half(b, columns).unsqueeze(1).unsqueeze(1); };
    const Tensor d1 = moments.select(2, 0), d2 = moments.select(2, 1);
    const Tensor q1 = over_columns(0), q2 = over_columns(1);
    const Tensor sides[2] = {(d1 * q1).addcmul_(d2, q2), (d2 * q1).addcmul_(d1, q2, -1)};
    // For each half a and pair: q_a beside r_a, [batch, a, rows, queries, 2].
    const Tensor own = at::stack({at::stack({half(0, rows), half(1, rows)}, 1),
                                  at::stack({-half(1, rows), half(0, rows)}, 1)},
                                 4);
    std::vector<Tensor> pieces;
    for (const Tensor& side : sides) {
      const Tensor part = at::bmm(side.flatten(0, 2), own.flatten(0, 2));  // [.., columns, 2]
      pieces.push_back(part.view({-1, rows, columns, 2}).to(kF64).sum(0));
    }
    return at::stack(pieces).permute({3, 1, 0, 2});
  }

  // [g, side, pairs, side, pairs], made for j <= l: the other half by symmetry, [g, 2f, 2f]. Blocks
  // reach below the diagonal here and there; only what is above counts.
  static Tensor Completed(const Tensor& sum) {
    const Tensor upper = sum.permute({0, 1, 3, 2, 4}).triu();  // [g, side, side, j, l]
    const Tensor strict = upper.triu(1).permute({0, 2, 1, 4, 3});
    return (upper + strict).permute({0, 1, 3, 2, 4}).flatten(3, 4).flatten(1, 2);
  }

  // (e_j, e'_j) of queries with keys, [.., half, pairs, queries] -> [.., 2f, queries].
  static Tensor Terms(const Tensor& q, const Tensor& k) {
    const Tensor q1 = q.select(-3, 0), q2 = q.select(-3, 1);
    const Tensor k1 = k.select(-3, 0), k2 = k.select(-3, 1);
    return at::cat({q1 * k1 + q2 * k2, q1 * k2 - q2 * k1}, -2);
  }
};

}  // namespace

std::unique_ptr<ScoreAccumulator> MakeScoreAccumulator(StatKind kind,
                                                       const std::vector<HeadConfig>& heads,
                                                       int64_t query_stride) {
  if (kind == StatKind::kPairMetric) return std::make_unique<PairMetricSums>(heads, query_stride);
  CONDENSE_CHECK(kind == StatKind::kKeyCovariance, "not a statistic of scores");
  return std::make_unique<KeyCovarianceSums>(heads, query_stride);
}

}  // namespace condense
