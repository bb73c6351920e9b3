#include "calibration/score_statistics.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

// Rows of attention (queries of all heads of a group) that are made at a time. Keys behind the last
// query of a chunk are not visited: short chunks save work, long ones make better products.
constexpr int64_t kChunkRows = 128;
// Numbers in a block of products of keys.
constexpr int64_t kBlockNumbers = int64_t{1} << 22;

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
    const int64_t step = std::max<int64_t>(kChunkRows / g, 1);
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

// Column j of one half beside column j of the other, as a complex number: [..., w] -> [..., w / 2].
Tensor PairsOf(const Tensor& x) {
  const int64_t f = x.size(-1) / 2;
  return at::complex(x.narrow(-1, 0, f), x.narrow(-1, f, f));
}

// With complex pairs z, e_j + i e'_j = conj(z_q,j) z_k,j. So all covariances of e and e' follow
// from
//   x_jl = sum_t conj(z_q,j) z_q,l cov_t(z_k,j, conj(z_k,l)) = cov(e_j + i e'_j, e_l - i e'_l)
//   y_jl = sum_t conj(z_q,j  z_q,l) cov_t(z_k,j, z_k,l)      = cov(e_j + i e'_j, e_l + i e'_l),
// x hermitian and y symmetric: half as many products as the full D_t takes.
class PairMetricSums final : public ScoreSums {
 public:
  PairMetricSums(const std::vector<HeadConfig>& heads, int64_t query_stride)
      : ScoreSums(heads, query_stride) {
    CONDENSE_CHECK(width() % 2 == 0, "pairs of {} columns", width());
  }

 private:
  Tensor OfChunk(const Chunk& chunk) const override {
    const int64_t g = chunk.queries.size(1), f = width() / 2;
    const Tensor q = PairsOf(chunk.queries), k = PairsOf(chunk.keys);
    const Tensor means = PairsOf(at::matmul(chunk.attention, chunk.keys.unsqueeze(1)));
    const auto options = q.options().dtype(at::kComplexDouble);
    Tensor x = at::zeros({g, f, f}, options), y = at::zeros({g, f, f}, options);
    const int64_t numbers = 4 * k.size(0) * k.size(1) * f;  // of the products with one pair
    const int64_t step = std::clamp<int64_t>(kBlockNumbers / std::max<int64_t>(numbers, 1), 1, f);
    for (int64_t j = 0; j < f; j += step) {
      const int64_t rows = std::min(step, f - j), columns = f - j;
      const auto first = [&](const Tensor& z) { return z.narrow(-1, j, rows).unsqueeze(-1); };
      const auto second = [&](const Tensor& z) { return z.narrow(-1, j, columns).unsqueeze(-2); };
      const auto [with_conjugate, plain] =
          Covariances(chunk.attention, first(k), second(k), first(means), second(means));
      const auto add = [&](const Tensor& to, const Tensor& terms) {
        to.narrow(1, j, rows).narrow(2, j, columns) += terms.sum(at::IntArrayRef{0, 2});
      };
      add(x, first(q).conj() * second(q) * with_conjugate);
      add(y, (first(q) * second(q)).conj() * plain);
    }
    // The blocks reach below the diagonal here and there; only what is above counts.
    x = x.triu() + x.triu(1).mH();
    y = y.triu() + y.triu(1).mT();
    const Tensor ee = (at::real(x) + at::real(y)) / 2, turned = (at::real(x) - at::real(y)) / 2;
    const Tensor cross = (at::imag(y) - at::imag(x)) / 2;  // of e_j and e'_l
    return at::cat({at::cat({ee, cross}, 2), at::cat({cross.mT(), turned}, 2)}, 1);
  }

  // cov_t(a, conj(b)) and cov_t(a, b) of products of key pairs, [batch, g, queries, rows, columns].
  static std::pair<Tensor, Tensor> Covariances(const Tensor& attention, const Tensor& a,
                                               const Tensor& b, const Tensor& mean_a,
                                               const Tensor& mean_b) {
    const Tensor products = at::view_as_real(at::stack({a * b.conj(), a * b}, 2));
    const Tensor moments = at::bmm(attention.flatten(1, 2), products.flatten(2));
    const auto sizes = attention.sizes();
    const Tensor pairs = at::view_as_complex(
        moments.view({sizes[0], sizes[1], sizes[2], 2, products.size(3), products.size(4), 2}));
    return {pairs.select(3, 0) - mean_a * mean_b.conj(), pairs.select(3, 1) - mean_a * mean_b};
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
