// Statistics of queries and keys together against loops over all of their definition.
#include "calibration/score_statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "calibration/statistics_store.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace condense {
namespace {

constexpr double kScale = 0.4;

double RelativeDifference(const Tensor& a, const Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

struct Sequences {
  Tensor queries, keys;  // [batch, tokens, heads side by side]
};

Sequences MakeSequences(int64_t batch, int64_t tokens, const std::vector<HeadConfig>& heads) {
  int64_t queries = 0;
  for (const HeadConfig& head : heads) queries += head.queries;
  const int64_t w = heads[0].qk_width;
  at::manual_seed(3);
  // Keys far from zero: only their differences count.
  return {at::randn({batch, tokens, queries * w}, kF64),
          at::randn({batch, tokens, static_cast<int64_t>(heads.size()) * w}, kF64) + 2.0};
}

std::vector<HeadConfig> Heads(const std::vector<int64_t>& queries, int64_t width) {
  std::vector<HeadConfig> heads;
  for (const int64_t g : queries) heads.push_back({.queries = g, .qk_width = width, .vo_width = 4});
  return heads;
}

// What each column of a key adds to the logit of a query, for the loops below: terms [columns].
using Terms = std::function<std::vector<double>(const double* query, const double* key)>;

std::vector<double> PairTerms(const double* q, const double* k, int64_t w) {
  const int64_t f = w / 2;
  std::vector<double> terms;
  for (int64_t j = 0; j < f; ++j) terms.push_back(q[j] * k[j] + q[j + f] * k[j + f]);
  for (int64_t j = 0; j < f; ++j) terms.push_back(q[j] * k[j + f] - q[j + f] * k[j]);
  return terms;
}

// sum over queries of the covariance of the terms under the query's attention, by loops alone.
Tensor LoopCovariance(const Sequences& s, const std::vector<HeadConfig>& heads, int64_t stride,
                      const Terms& terms) {
  const int64_t w = heads[0].qk_width;
  const Tensor queries = s.queries.to(kF64).contiguous(), keys = s.keys.to(kF64).contiguous();
  std::vector<Tensor> sums;
  int64_t query_head = 0;
  for (size_t j = 0; j < heads.size(); ++j) {
    for (int64_t i = 0; i < heads[j].queries; ++i, ++query_head) {
      Tensor sum = at::zeros({w, w}, kF64);
      auto total = sum.accessor<double, 2>();
      for (int64_t b = 0; b < queries.size(0); ++b) {
        for (int64_t t = stride - 1; t < queries.size(1); t += stride) {
          const double* q = queries[b][t].const_data_ptr<double>() + query_head * w;
          std::vector<std::vector<double>> rows;
          std::vector<double> weights, mean(static_cast<size_t>(w));
          double norm = 0;
          for (int64_t u = 0; u <= t; ++u) {
            const double* k = keys[b][u].const_data_ptr<double>() + static_cast<int64_t>(j) * w;
            double logit = 0;
            for (int64_t c = 0; c < w; ++c) logit += q[c] * k[c];
            weights.push_back(std::exp(kScale * logit));
            norm += weights.back();
            rows.push_back(terms(q, k));
          }
          for (size_t u = 0; u < rows.size(); ++u) {
            weights[u] /= norm;
            for (size_t c = 0; c < mean.size(); ++c) mean[c] += weights[u] * rows[u][c];
          }
          for (size_t u = 0; u < rows.size(); ++u) {
            for (int64_t a = 0; a < w; ++a) {
              for (int64_t c = 0; c < w; ++c) {
                const auto x = static_cast<size_t>(a), y = static_cast<size_t>(c);
                total[a][c] += weights[u] * (rows[u][x] - mean[x]) * (rows[u][y] - mean[y]);
              }
            }
          }
        }
      }
      sums.push_back(sum);
    }
  }
  return at::stack(sums);
}

Tensor LoopPairMetric(const Sequences& s, const std::vector<HeadConfig>& heads, int64_t stride) {
  const int64_t w = heads[0].qk_width;
  return LoopCovariance(s, heads, stride,
                        [w](const double* q, const double* k) { return PairTerms(q, k, w); });
}

Tensor LoopKeyCovariance(const Sequences& s, const std::vector<HeadConfig>& heads, int64_t stride) {
  const int64_t w = heads[0].qk_width;
  return LoopCovariance(s, heads, stride, [w](const double*, const double* k) {
    return std::vector<double>(k, k + w);
  });
}

Tensor Accumulated(StatKind kind, const Sequences& s, const std::vector<HeadConfig>& heads,
                   int64_t stride) {
  const auto accumulator = MakeScoreAccumulator(kind, heads, {.query_stride = stride});
  accumulator->Add(s.queries, s.keys, kScale);
  return accumulator->Finish();
}

TEST(PairMetric, IsTheCovarianceOfWhatPairsAddToTheLogits) {
  for (const auto& heads : {Heads({1, 1}, 6), Heads({3, 3}, 4), Heads({2, 1, 3}, 2)}) {
    const Sequences s = MakeSequences(2, 19, heads);
    for (const int64_t stride : {1, 4}) {
      EXPECT_LT(RelativeDifference(Accumulated(StatKind::kPairMetric, s, heads, stride),
                                   LoopPairMetric(s, heads, stride)),
                1e-12);
    }
  }
}

TEST(PairMetric, IsTheSameInChunksOfQueriesAndInBlocksOfPairs) {
  const auto heads = Heads({2}, 40);  // 300 tokens: several chunks; 20 pairs: several blocks
  const Sequences s = MakeSequences(12, 300, heads);
  const Tensor expected = [&] {  // t by t, as matrices
    Tensor sum = at::zeros({2, 40, 40}, kF64);
    for (int64_t b = 0; b < 12; ++b) {
      for (int64_t i = 0; i < 2; ++i) {
        const Tensor q = s.queries[b].narrow(1, 40 * i, 40), k = s.keys[b];
        // r k^T with r = (-q_2, q_1)
        const Tensor r = at::cat({-q.narrow(1, 20, 20), q.narrow(1, 0, 20)}, 1);
        for (int64_t t = 2; t < 300; t += 3) {
          const Tensor seen = k.narrow(0, 0, t + 1);
          const Tensor p = at::softmax(kScale * at::matmul(seen, q[t]), 0).unsqueeze(1);
          const auto halves = [](const Tensor& x) {
            return x.narrow(1, 0, 20) + x.narrow(1, 20, 20);
          };
          const Tensor e = at::cat({halves(seen * q[t]), halves(seen * r[t])}, 1);
          const Tensor rest = e - (p * e).sum(0);
          sum[i] += at::matmul(rest.t(), p * rest);
        }
      }
    }
    return sum;
  }();
  EXPECT_LT(RelativeDifference(Accumulated(StatKind::kPairMetric, s, heads, 3), expected), 1e-12);
}

TEST(KeyCovariance, IsTheCovarianceOfTheKeysUnderTheAttention) {
  for (const auto& heads : {Heads({1, 1}, 6), Heads({2, 1, 3}, 5)}) {
    const Sequences s = MakeSequences(2, 19, heads);
    for (const int64_t stride : {1, 4}) {
      EXPECT_LT(RelativeDifference(Accumulated(StatKind::kKeyCovariance, s, heads, stride),
                                   LoopKeyCovariance(s, heads, stride)),
                1e-12);
    }
  }
}

constexpr StatKind kKinds[] = {StatKind::kPairMetric, StatKind::kKeyCovariance};

TEST(ScoreStatistics, InFloat32AgreeToItsDigits) {
  const auto heads = Heads({2, 2}, 16);
  Sequences s = MakeSequences(3, 150, heads);
  s = {s.queries.to(kF32), s.keys.to(kF32)};
  const Sequences exact{s.queries.to(kF64), s.keys.to(kF64)};
  for (const StatKind kind : kKinds) {
    EXPECT_LT(
        RelativeDifference(Accumulated(kind, s, heads, 1), Accumulated(kind, exact, heads, 1)),
        2e-6);
  }
}

TEST(ScoreStatistics, MergeEqualsOnePass) {
  const auto heads = Heads({2, 1}, 8);
  const Sequences s = MakeSequences(5, 30, heads);
  for (const StatKind kind : kKinds) {
    const auto left = MakeScoreAccumulator(kind, heads, {}),
               right = MakeScoreAccumulator(kind, heads, {});
    left->Add(s.queries.narrow(0, 0, 2), s.keys.narrow(0, 0, 2), kScale);
    right->Add(s.queries.narrow(0, 2, 3), s.keys.narrow(0, 2, 3), kScale);
    left->Merge(*right);
    EXPECT_LT(RelativeDifference(left->Finish(), Accumulated(kind, s, heads, 1)), 1e-12);
  }
}

TEST(ScoreStatistics, VisitAQueryOfASequenceShorterThanTheStride) {
  const auto heads = Heads({1}, 4);
  const Sequences s = MakeSequences(2, 5, heads);
  for (const StatKind kind : kKinds) {
    EXPECT_EQ(RelativeDifference(Accumulated(kind, s, heads, 64), Accumulated(kind, s, heads, 5)),
              0);
  }
}

TEST(ScoreStatistics, LookAtSequencesThatAreEvenlySpread) {
  const auto chosen = [](const ScoreSample& sample, int64_t count) {
    std::vector<int64_t> all;
    for (int64_t i = 0; i < count; ++i) {
      if (sample.Visits(i)) all.push_back(i);
    }
    return all;
  };
  EXPECT_EQ(chosen({.sequences = 3, .of = 12}, 12), (std::vector<int64_t>{3, 7, 11}));
  EXPECT_EQ(chosen({.sequences = 3, .of = 10}, 10), (std::vector<int64_t>{3, 6, 9}));
  EXPECT_EQ(chosen({.sequences = 5, .of = 4}, 4).size(), 4u);
  EXPECT_EQ(chosen({.sequences = 2}, 4), (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(chosen({}, 4).size(), 4u);

  const auto heads = Heads({2, 1}, 6);
  const Sequences s = MakeSequences(10, 20, heads);
  const Tensor rows = at::tensor(std::vector<int64_t>{3, 6, 9});
  const Sequences some{s.queries.index_select(0, rows), s.keys.index_select(0, rows)};
  for (const StatKind kind : kKinds) {
    const auto sums = MakeScoreAccumulator(kind, heads, {.sequences = 3, .of = 10});
    for (const int64_t first : {0, 3, 4}) {  // in batches of 3, 1 and 6
      const int64_t count = first == 0 ? 3 : first == 3 ? 1 : 6;
      sums->Add(s.queries.narrow(0, first, count), s.keys.narrow(0, first, count), kScale);
    }
    EXPECT_LT(RelativeDifference(sums->Finish(), Accumulated(kind, some, heads, 1)), 1e-12);
  }
}

TEST(ScoreStatistics, AreNamedByTheirSample) {
  EXPECT_EQ(PairMetric().Name(), "scores.pair_metric");
  EXPECT_EQ(PairMetric(8).Name(), "scores.pair_metric.every8");
  EXPECT_EQ(PairMetric(8, 16).Name(), "scores.pair_metric.every8.of16");
  EXPECT_EQ(KeyCovariance().Name(), "scores.key_covariance");
}

// --- In a model ----------------------------------------------------------------------------------

// Queries and keys as the taps report them apart, and the scale.
class Recorder final : public TapSink {
 public:
  bool Wants(Tap tap) const override {
    return tap == Tap::kQueryRotated || tap == Tap::kKeyRotated || tap == Tap::kScores;
  }
  void OnTap(Tap tap, const Tensor& x) override {
    (tap == Tap::kQueryRotated ? apart_.queries : apart_.keys) = x;
  }
  void OnScores(const Tensor& queries, const Tensor& keys, double scale) override {
    together_ = {queries, keys};
    scale_ = scale;
  }
  Sequences apart_, together_;
  double scale_ = 0;
};

TEST(ScoreStatistics, OfABlockThatWasNarrowedAreOfWhatEntersItsScores) {
  const TinyModel tiny;
  Block block = tiny.model->LoadBlock(1);
  block.attention.KeepQueryKeyUnits({{0, 2, 3}, {0, 1, 3}}, /*rotary=*/true);
  Recorder recorder;
  BlockContext context{.taps = &recorder};
  const Tensor x =
      tiny.model->LoadEmbedding().Forward(TokenBatches(tiny.calibration.sequences).ids()[0]);
  block.Forward(x, context);
  EXPECT_TRUE(at::equal(recorder.apart_.queries, recorder.together_.queries));
  EXPECT_TRUE(at::equal(recorder.apart_.keys, recorder.together_.keys));
  EXPECT_EQ(recorder.scale_, block.attention.scale);

  StatisticsCollector collector({PairMetric(3), KeyCovariance()}, ShapeOf(block));
  context.taps = &collector;
  block.Forward(x, context);
  const BlockStatistics statistics = collector.Finish("layer 1");
  const double ratio = std::sqrt(recorder.scale_ / kScale);  // the loops use kScale
  const Sequences scaled{recorder.together_.queries.to(kF64) * ratio,
                         recorder.together_.keys.to(kF64) * ratio};
  const auto heads = Heads({2, 2}, 6);
  EXPECT_LT(RelativeDifference(statistics.Get(PairMetric(3)) * std::pow(ratio, 4),
                               LoopPairMetric(scaled, heads, 3)),
            1e-5);
  EXPECT_LT(RelativeDifference(statistics.Get(KeyCovariance()) * std::pow(ratio, 2),
                               LoopKeyCovariance(scaled, heads, 1)),
            1e-5);
  EXPECT_EQ(statistics.tokens, x.size(0) * x.size(1));
  EXPECT_EQ(statistics.sequences, x.size(0));
}

TEST(ScoreStatistics, DoNotChangeWhatABlockPutsOut) {
  const TinyModel tiny;
  const Block block = tiny.model->LoadBlock(0);
  StatisticsCollector collector({PairMetric()}, ShapeOf(block));
  const Tensor x =
      tiny.model->LoadEmbedding().Forward(TokenBatches(tiny.calibration.sequences).ids()[0]);
  EXPECT_TRUE(at::equal(block.Forward(x), block.Forward(x, {.taps = &collector})));
}

TEST(StatisticsStore, KeepsStatisticsOfScoresInFiles) {
  const TinyModel tiny({.opt = true});
  const TempFolder folder;
  const StatRequests requests{KeyCovariance(2)};
  std::vector<Tensor> made;
  StatisticsStore first(*tiny.model, tiny.calibration, {.folder = folder.path()});
  first.ForEachLayer(requests, [&](int64_t, const BlockStatistics& statistics) {
    made.push_back(statistics.Get(KeyCovariance(2)));
  });
  StatisticsStore second(*tiny.model, tiny.calibration, {.folder = folder.path()});
  second.ForEachLayer(requests, [&](int64_t l, const BlockStatistics& statistics) {
    EXPECT_TRUE(at::equal(statistics.Get(KeyCovariance(2)), made[static_cast<size_t>(l)]));
  });
  EXPECT_EQ(second.seconds(), 0);
}

}  // namespace
}  // namespace condense
