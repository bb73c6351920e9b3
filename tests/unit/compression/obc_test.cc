// Structured OBC (methods.md 5.7): T51-T55, and the greedy choice against exhaustive search.
#include <gtest/gtest.h>

#include <cmath>

#include "compression/solvers/elimination.h"
#include "unit/compression/matrices.h"
#include "unit/compression/pruning_support.h"

namespace condense {
namespace {

// min_B ||H W - H_J B||^2, by QR.
double RefitError(const Tensor& h, const Tensor& w, const Indices& kept) {
  const Tensor target = at::matmul(h, w);
  if (kept.empty()) return SquaredNorm(target);
  const Tensor a = Columns(h, kept);
  return SquaredNorm(target - at::matmul(a, LeastSquares(a, target)));
}

Indices RowsOfUnits(const Tensor& units, const Indices& kept) {
  Indices rows;
  for (const int64_t u : kept) {
    for (int64_t i = 0; i < units.size(1); ++i) rows.push_back(units[u][i].item<int64_t>());
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

constexpr double kNone = 1e-13;  // damping, as good as none

TEST(EliminateGroups, RemovesAtEachStepTheGroupWhoseLossCostsLeast) {  // T54
  for (int trial = 0; trial < 5; ++trial) {
    const std::string name = "groups" + std::to_string(trial);
    const Tensor h = Activations(60, 12, name), w = Normals({12, 5}, name + "/w");
    // Interleaved on purpose: a group need not be contiguous.
    const Tensor units = at::arange(12, kI64).view({3, 4}).t().contiguous();  // [4, 3]
    const Elimination made = EliminateGroups(GramOf(h), w, units, 3, kNone);
    Indices alive{0, 1, 2, 3};
    double before = 0;
    for (size_t step = 0; step < 3; ++step) {
      // Every possible next removal.
      int64_t best = -1;
      double least = std::numeric_limits<double>::infinity();
      for (const int64_t u : alive) {
        Indices rest;
        for (const int64_t v : alive) {
          if (v != u) rest.push_back(v);
        }
        const double error = RefitError(h, w, RowsOfUnits(units, rest));
        if (error < least) least = error, best = u;
      }
      EXPECT_EQ(made.order[step], best);
      EXPECT_NEAR(made.costs[static_cast<int64_t>(step)].item<double>(), least - before,
                  1e-7 * least);  // T52
      before = least;
      alive.erase(std::find(alive.begin(), alive.end(), best));
    }
  }
}

TEST(EliminateGroups, OfOneChannelEachIsTheEliminationOfChannels) {
  const Tensor h = Activations(40, 9, "single"), w = Normals({9, 4}, "single/w");
  const Tensor units = at::arange(9, kI64).view({9, 1});
  const Elimination groups = EliminateGroups(GramOf(h), w, units, 6, 1e-6);
  const Elimination channels =
      EliminateBackward(GramOf(h), w, 6, {.relative_damping = 1e-6, .block = 1});
  EXPECT_EQ(groups.order, channels.order);
  EXPECT_LT(MaxDifference(groups.costs, channels.costs), 1e-8 * SquaredNorm(w));
}

TEST(EliminateGroups, LeavesAloneWhatBelongsToNoGroup) {
  const Tensor h = Activations(40, 6, "outside"), w = Normals({6, 4}, "outside/w");
  const Tensor units = at::tensor({0, 1, 4, 5}, at::TensorOptions().dtype(kI64)).view({2, 2});
  const Elimination made = EliminateGroups(GramOf(h), w, units, 1, kNone);
  const double first = RefitError(h, w, {2, 3, 4, 5}), second = RefitError(h, w, {0, 1, 2, 3});
  EXPECT_EQ(made.order[0], first < second ? 0 : 1);
}

class ObcClaims : public testing::TestWithParam<TinyModelOptions> {};

TEST_P(ObcClaims, WeightsAreTheLeastSquaresRefitOfWhatStays) {  // T51, T55
  TinyModel tiny(Wide(GetParam()));
  const auto uniform = MakeComponent<Allocator>("uniform");
  const Compressed obc = CompressWith(tiny.statistics, "obc", 0.3, *uniform);
  for (size_t l = 0; l < 3; ++l) {
    const Tensor h = ActivationsAt(*tiny.model, tiny.calibration, l, Tap::kMlpHidden);
    const Tensor w = tiny.model->blocks()[l].mlp.down.weight.t();
    const Indices& kept = KeptOf(obc, l, "mlp");
    const Tensor best = LeastSquares(Columns(h, kept), at::matmul(h, w));
    EXPECT_LT(MaxDifference(obc.model->blocks()[l].mlp.down.weight.t(), best), 1e-6);
    const auto& report = obc.result.report.layers[l].modules.at("mlp");
    EXPECT_NEAR(*report.relative_error,
                std::sqrt(RefitError(h, w, kept) / SquaredNorm(at::matmul(h, w))), 1e-7);
  }
}

TEST_P(ObcClaims, HeadsGoInTheOrderOfAnExhaustiveSearch) {
  TinyModel tiny(Wide(GetParam()));
  const Compressed made =
      CompressFixed(tiny, "{use: obc, damping: 1e-12}", {.mlp = 0.25, .qk = 0.5, .vo = 0.5});
  const ModelConfig& dense = tiny.model->config();
  const int64_t count = dense.num_kv_heads, size = dense.head_dim * dense.num_heads / count;
  for (size_t l = 0; l < 3; ++l) {
    const Tensor z = ActivationsAt(*tiny.model, tiny.calibration, l, Tap::kValueMix);
    const Tensor w = tiny.model->blocks()[l].attention.o.weight.t();
    const Tensor units = at::arange(count * size, kI64).view({count, size});
    Indices alive = Complement({}, count);
    while (static_cast<int64_t>(alive.size()) > count / 2) {
      size_t best = 0;
      double least = std::numeric_limits<double>::infinity();
      for (size_t i = 0; i < alive.size(); ++i) {
        Indices rest = alive;
        rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
        const double error = RefitError(z, w, RowsOfUnits(units, rest));
        if (error < least) least = error, best = i;
      }
      alive.erase(alive.begin() + static_cast<std::ptrdiff_t>(best));
    }
    EXPECT_EQ(KeptOf(made, l, "attention"), alive) << l;
  }
}

TEST_P(ObcClaims, ChoiceOfChannelsIsThatOfModeGptWithThisSelector) {  // T55
  TinyModel tiny(GetParam());
  const ModuleSparsity mlp_only{.mlp = 0.4, .qk = 0, .vo = 0};
  const Compressed obc = CompressFixed(tiny, "obc", mlp_only);
  const Compressed modegpt = CompressFixed(tiny, "{use: modegpt, mlp_selector: obc}", mlp_only);
  for (size_t l = 0; l < 3; ++l) {
    EXPECT_EQ(KeptOf(obc, l, "mlp"), KeptOf(modegpt, l, "mlp"));
    EXPECT_TRUE(at::equal(obc.model->blocks()[l].mlp.down.weight,
                          modegpt.model->blocks()[l].mlp.down.weight));
  }
}

INSTANTIATE_TEST_SUITE_P(Families, ObcClaims, testing::Values(kLlama, kGrouped, kOpt),
                         [](const auto& info) { return FamilyName(info.param); });

}  // namespace
}  // namespace condense
