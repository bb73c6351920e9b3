// The refits of whole modules, against automatic differentiation and explicit losses.
#include "compression/refits/gauss_newton.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "base/error.h"
#include "compression/refits/attention_refit.h"
#include "compression/refits/mlp_refit.h"
#include "unit/compression/matrices.h"

namespace condense {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using Maps = std::vector<Linear>;

constexpr int64_t kWidth = 6, kOutputs = 5;

// A kind of module as its maps, readers first.
struct Shape {
  const char* name;
  std::vector<int64_t> leading;                    // dimensions of the rows
  std::vector<std::pair<int64_t, int64_t>> sizes;  // out and in of each map
  std::vector<bool> biased;
  std::function<Tensor(const Maps&, const Tensor& x)> forward;
  std::function<StepsTaken(const RefitVisit&, const GaussNewtonOptions&, Maps&)> refit;
  bool smooth = true;
  bool exact = true;  // the linearised module puts out what `forward` does, to the last bit
};

Maps MakeMaps(const Shape& shape, const std::string& purpose) {
  Maps maps;
  for (size_t i = 0; i < shape.sizes.size(); ++i) {
    const auto [out, in] = shape.sizes[i];
    const std::string role = fmt::format("{} {}", purpose, i);
    maps.push_back({.weight = 0.4 * Normals({out, in}, role)});
    if (shape.biased[i]) maps.back().bias = 0.2 * Normals({out}, role + " bias");
  }
  return maps;
}

std::vector<Tensor*> ParametersOf(Maps& maps) {
  std::vector<Tensor*> parameters;
  for (Linear& map : maps) {
    parameters.push_back(&map.weight);
    if (map.bias.defined()) parameters.push_back(&map.bias);
  }
  return parameters;
}

Shape MlpShape(const char* name, Activation activation, bool gated, bool biased) {
  constexpr int64_t kChannels = 7;
  Shape shape{.name = name, .leading = {240}, .smooth = activation != Activation::kRelu};
  shape.sizes.assign(gated ? 2 : 1, {kChannels, kWidth});
  shape.sizes.emplace_back(kOutputs, kChannels);
  shape.biased.assign(shape.sizes.size(), biased);
  const auto mlp_of = [=](const Maps& maps) {
    Mlp mlp{.activation = activation, .up = maps.front(), .down = maps.back()};
    if (gated) mlp.gate = maps[1];
    return mlp;
  };
  shape.forward = [=](const Maps& maps, const Tensor& x) {
    return mlp_of(maps).Forward(x, nullptr);
  };
  shape.refit = [=](const RefitVisit& visit, const GaussNewtonOptions& options, Maps& maps) {
    Mlp mlp = mlp_of(maps);
    const StepsTaken taken = RefitMlp(visit, options, "layer 3", mlp);
    maps = gated ? Maps{mlp.up, mlp.gate, mlp.down} : Maps{mlp.up, mlp.down};
    return taken;
  };
  return shape;
}

// rope_pairs: of a dense head of 4 pairs; empty: no rotary positions, or all pairs.
Shape AttentionShape(const char* name, std::vector<HeadConfig> heads, bool rotary,
                     std::vector<int64_t> rope_pairs, bool biased) {
  int64_t q = 0, k = 0, v = 0, z = 0;
  for (const HeadConfig& head : heads) {
    q += head.queries * head.qk_width, k += head.qk_width;
    v += head.vo_width, z += head.queries * head.vo_width;
  }
  Shape shape{.name = name,
              .leading = {16, 12},
              .sizes = {{q, kWidth}, {k, kWidth}, {v, kWidth}, {kOutputs, z}},
              .biased = {biased, biased, false, biased},
              .exact = false};
  const Tensor frequencies = rotary ? at::pow(10.0, -at::arange(4, at::dtype(kF32)) / 4) : Tensor();
  const auto attention_of = [=](const Maps& maps) {
    return Attention{.heads = heads,
                     .scale = 0.5,
                     .rope_pairs = rope_pairs.empty() ? Tensor() : at::tensor(rope_pairs),
                     .rope_frequencies = frequencies,
                     .q = maps[0],
                     .k = maps[1],
                     .v = maps[2],
                     .o = maps[3]};
  };
  shape.forward = [=](const Maps& maps, const Tensor& x) {
    const Attention attention = attention_of(maps);
    return attention.o.Forward(attention.MixComposed(attention.q.Forward(x), attention.k.Forward(x),
                                                     attention.v.Forward(x)));
  };
  shape.refit = [=](const RefitVisit& visit, const GaussNewtonOptions& options, Maps& maps) {
    Attention attention = attention_of(maps);
    const StepsTaken taken = RefitAttention(visit, options, "layer 3", attention);
    maps = {attention.q, attention.k, attention.v, attention.o};
    return taken;
  };
  return shape;
}

// How rows are handed out: in batches of some size along the first dimension. Every stride-th is in
// the curvature; the last `held_out` are.
struct Handing {
  int64_t batch = 100, stride = 1, held_out = 0;
};
RefitVisit Batches(const RefitRows& rows, const Handing& handing = {}) {
  return [=](RowSet set, const std::function<void(const RefitRows&)>& fn) {
    const int64_t all = rows.inputs.size(0), fitted = all - handing.held_out;
    for (int64_t begin = 0; begin < all; begin += handing.batch) {
      Indices items;
      for (int64_t i = begin; i < std::min(begin + handing.batch, all); ++i) {
        const RowSet of = i >= fitted               ? RowSet::kHeldOut
                          : i % handing.stride == 0 ? RowSet::kCurvature
                                                    : RowSet::kGradient;
        if (of == set) items.push_back(i);
      }
      const auto part = [&](const Tensor& tensor) {
        return tensor.defined() ? tensor.index_select(0, IndexTensor(items)) : tensor;
      };
      fn({part(rows.inputs), part(rows.targets), part(rows.weights)});
    }
  };
}

class GaussNewtonRefit : public testing::TestWithParam<Shape> {
 protected:
  static Tensor Rows(int64_t width, const std::string& purpose) {
    std::vector<int64_t> sizes = GetParam().leading;
    if (width > 0) sizes.push_back(width);
    return Normals(sizes, purpose);
  }
  static Maps Random(const std::string& purpose) { return MakeMaps(GetParam(), purpose); }

  static double Loss(const Maps& maps, const RefitRows& rows) {
    Tensor squares = (rows.targets - GetParam().forward(maps, rows.inputs)).square().sum(-1);
    if (rows.weights.defined()) squares = squares * rows.weights;
    return squares.sum().item<double>();
  }
  static StepsTaken Refitted(const RefitRows& rows, const GaussNewtonOptions& options, Maps& maps,
                             const Handing& handing = {}) {
    return GetParam().refit(Batches(rows, handing), options, maps);
  }
  // Targets of a module of the same shape, which can be reached.
  static RefitRows Reachable() {
    RefitRows rows{.inputs = Rows(kWidth, "inputs")};
    rows.targets = GetParam().forward(Random("true"), rows.inputs);
    return rows;
  }
  // The same with something that no module of this shape makes.
  static RefitRows Beyond() {
    RefitRows rows = Reachable();
    rows.targets = rows.targets + 0.3 * Rows(kOutputs, "noise");
    return rows;
  }
  // Not far from where the targets come from.
  static Maps Start() {
    Maps maps = Random("true");
    for (Tensor* parameter : ParametersOf(maps)) {
      *parameter = *parameter + 0.05 * Normals(parameter->sizes().vec(), "start");
    }
    return maps;
  }
  static void ExpectSame(Maps a, Maps b) {
    const std::vector<Tensor*> left = ParametersOf(a), right = ParametersOf(b);
    for (size_t i = 0; i < left.size(); ++i) EXPECT_LT(MaxDifference(*left[i], *right[i]), 1e-8);
  }
};

TEST_P(GaussNewtonRefit, ReachesATargetThatTheMatricesCanReach) {
  const RefitRows rows = Reachable();
  Maps maps = Start();
  const double before = Loss(maps, rows);
  const StepsTaken refit = Refitted(rows, {.steps = 20, .iterations = 60}, maps);
  EXPECT_NEAR(refit.squared_error_before, before, 1e-9 * before);
  EXPECT_LT(Loss(maps, rows), 1e-6 * before);
  EXPECT_NEAR(refit.squared_error, Loss(maps, rows), 1e-9 * before);
}

// The gradient by automatic differentiation of what is minimised, weights of rows included.
TEST_P(GaussNewtonRefit, EndsWhereTheGradientVanishes) {
  RefitRows rows = Beyond();
  rows.weights = Rows(0, "weights").square() + 0.1;
  Maps maps = Start();
  const auto gradient = [&](Maps at) {
    const at::AutoGradMode recorded(true);
    double norm = 0;
    std::vector<Tensor> leaves;
    for (Tensor* parameter : ParametersOf(at)) {
      *parameter = parameter->clone().requires_grad_();
      leaves.push_back(*parameter);
    }
    const Tensor error = (rows.targets - GetParam().forward(at, rows.inputs)).square().sum(-1);
    (error * rows.weights).sum().backward();
    for (const Tensor& leaf : leaves) norm += SquaredNorm(leaf.grad());
    return std::sqrt(norm);
  };
  const double before = gradient(maps);
  Refitted(rows, {.steps = 400, .iterations = 8}, maps);
  // The last of it goes slowly along flat directions; relu has kinks.
  EXPECT_LT(gradient(maps), (GetParam().smooth ? 0.01 : 0.05) * before);
}

TEST_P(GaussNewtonRefit, NeverRaisesTheLoss) {
  const RefitRows rows = Beyond();
  for (const int64_t stride : {1, 4, 60}) {
    Maps maps = Random("elsewhere");
    double loss = Loss(maps, rows);
    for (int step = 0; step < 12; ++step) {
      const StepsTaken refit =
          Refitted(rows, {.steps = 1, .iterations = 4}, maps, {.stride = stride});
      EXPECT_LE(Loss(maps, rows), loss * (1 + 1e-12)) << stride << " " << step;
      EXPECT_EQ(refit.steps == 0, Loss(maps, rows) == loss);
      loss = Loss(maps, rows);
    }
  }
}

TEST_P(GaussNewtonRefit, TakesRowsInBatchesAsOneAndAWeightOfTwoAsTheRowTwice) {
  const RefitRows rows = Beyond();
  const GaussNewtonOptions options{.steps = 2, .iterations = 5};
  const int64_t all = rows.inputs.size(0), some = all / 5;
  Maps whole = Start(), batches = Start();
  Refitted(rows, options, whole, {.batch = all});
  Refitted(rows, options, batches, {.batch = all / 7 + 1});
  ExpectSame(whole, batches);

  RefitRows weighted = rows, twice = rows;
  weighted.weights = at::ones(GetParam().leading, rows.inputs.options());
  weighted.weights.narrow(0, 0, some) *= 2;
  twice.inputs = at::cat({rows.inputs.narrow(0, 0, some), rows.inputs});
  twice.targets = at::cat({rows.targets.narrow(0, 0, some), rows.targets});
  Maps once = Start(), doubled = Start();
  Refitted(weighted, options, once);
  Refitted(twice, options, doubled);
  ExpectSame(once, doubled);
}

TEST_P(GaussNewtonRefit, WithoutStepsOrErrorLeavesAllBitForBit) {
  const auto untouched = [&](const RefitRows& rows, int64_t steps) {
    Maps maps = Random("true"), before = Random("true");
    EXPECT_EQ(Refitted(rows, {.steps = steps}, maps).steps, 0);
    const std::vector<Tensor*> left = ParametersOf(maps), right = ParametersOf(before);
    for (size_t i = 0; i < left.size(); ++i) EXPECT_TRUE(at::equal(*left[i], *right[i]));
  };
  untouched(Beyond(), 0);
  if (GetParam().exact) untouched(Reachable(), 3);
  // Where the targets are met but for rounding.
  Maps maps = Random("true");
  Refitted(Reachable(), {.steps = 3}, maps);
  ExpectSame(maps, Random("true"));
}

TEST_P(GaussNewtonRefit, KeepsTheTypeOfTheMatrices) {
  const RefitRows rows = Beyond();
  Maps maps = Start();
  for (Tensor* parameter : ParametersOf(maps)) *parameter = parameter->to(at::kBFloat16);
  Maps wide = maps;
  for (Tensor* parameter : ParametersOf(wide)) *parameter = parameter->to(kF64);
  const double before = Loss(wide, rows);
  Refitted(rows, {}, maps);
  for (Tensor* parameter : ParametersOf(maps)) {
    EXPECT_EQ(parameter->scalar_type(), at::kBFloat16);
    *parameter = parameter->to(kF64);
  }
  EXPECT_LT(Loss(maps, rows), before);
}

TEST_P(GaussNewtonRefit, SaysWhereAStepIsNotFinite) {
  RefitRows rows = Beyond();
  rows.inputs.view({-1})[7] = std::numeric_limits<double>::quiet_NaN();
  Maps maps = Start();
  EXPECT_THAT([&] { Refitted(rows, {}, maps); }, ThrowsMessage<NumericError>(HasSubstr("layer 3")));
}

// Also with fewer equations than unknowns, where a step could fit all that it sees.
TEST_P(GaussNewtonRefit, NeverRaisesTheLossOfRowsThatAreHeldOut) {
  const RefitRows all = Beyond();
  const int64_t items = all.inputs.size(0);
  for (const int64_t fitted : {items / 16, items / 4, items * 7 / 8}) {
    for (const char* start : {"elsewhere", "true"}) {
      const int64_t held_out = std::max<int64_t>(items / 8, 1);
      const auto part = [&](int64_t begin, int64_t count) {
        return RefitRows{.inputs = all.inputs.narrow(0, begin, count),
                         .targets = all.targets.narrow(0, begin, count)};
      };
      const RefitRows rows = part(items - fitted - held_out, fitted + held_out),
                      decide = part(items - held_out, held_out);
      Maps maps = Random(start);
      for (int step = 0; step < 4; ++step) {
        const double before = Loss(maps, decide);
        const StepsTaken refit =
            Refitted(rows, {.steps = 1, .iterations = 20}, maps, {.held_out = held_out});
        EXPECT_LE(Loss(maps, decide), before * (1 + 1e-12)) << fitted << " " << step;
        EXPECT_NEAR(refit.squared_error_before, before, 1e-9 * before);
        EXPECT_NEAR(refit.squared_error, Loss(maps, decide), 1e-9 * before);
      }
    }
  }
}

TEST_P(GaussNewtonRefit, KeepsLinearisedRowsOrMakesThemAgainAlike) {
  const RefitRows rows = Beyond();
  Maps all = Start();
  Refitted(rows, {.iterations = 4}, all, {.batch = 5, .stride = 2});
  for (const int64_t bytes : {int64_t{0}, int64_t{2000}, int64_t{20000}}) {
    Maps some = Start();
    Refitted(rows, {.iterations = 4, .kept_bytes = bytes}, some, {.batch = 5, .stride = 2});
    const std::vector<Tensor*> left = ParametersOf(all), right = ParametersOf(some);
    for (size_t i = 0; i < left.size(); ++i) EXPECT_TRUE(at::equal(*left[i], *right[i])) << bytes;
  }
}

TEST_P(GaussNewtonRefit, TakesAGramMatrixThatIsKnownInPlaceOfItsOwn) {
  RefitRows rows = Beyond();
  rows.weights = Rows(0, "weights").square() + 0.1;
  const Tensor weights = rows.weights.flatten();
  const Tensor x = rows.inputs.flatten(0, -2) * weights.sqrt().unsqueeze(1);
  Maps own = Start(), known = Start();
  Refitted(rows, {.steps = 1}, own);
  Refitted(rows,
           {.steps = 1, .inputs = {.sum = 3 * GramOf(x), .rows = 3 * weights.sum().item<double>()}},
           known);
  ExpectSame(own, known);
}

// What the writer reads at all rows, [n, k]: the module is linear in it.
Tensor ReadByWriter(const Shape& shape, const Maps& maps, const Tensor& inputs) {
  std::vector<Tensor> columns;
  for (int64_t c = 0; c < maps.back().weight.size(1); ++c) {
    Maps unit = maps;
    unit.back().weight = at::zeros_like(maps.back().weight);
    unit.back().weight[0][c] = 1;
    if (unit.back().bias.defined()) unit.back().bias = at::zeros_like(unit.back().bias);
    columns.push_back(shape.forward(unit, inputs).flatten(0, -2).select(1, 0));
  }
  return at::stack(columns, 1);
}
// The writer behind what it reads by least squares, with a ridge towards `old`, and its bias.
Linear FittedWriter(const Tensor& read, const Tensor& targets, double ridge, const Linear& old) {
  const bool biased = old.bias.defined();
  const Tensor mean = read.mean(0), mean_t = targets.mean(0), root = at::eye(read.size(1), kF64);
  const Tensor y = biased ? read - mean : read, t = biased ? targets - mean_t : targets;
  const Tensor w = LeastSquares(at::cat({y, std::sqrt(ridge) * root}),
                                at::cat({t, std::sqrt(ridge) * old.weight.t()}));
  Linear fitted{.weight = w.t().contiguous()};
  if (biased) fitted.bias = mean_t - at::matmul(mean, w);
  return fitted;
}

TEST_P(GaussNewtonRefit, NeedsNoGradientOfAWriterThatIsFitted) {
  const RefitRows rows = Beyond();
  Maps pulled = Start();
  const Tensor read = ReadByWriter(GetParam(), pulled, rows.inputs);
  pulled.back() = FittedWriter(read, rows.targets.flatten(0, -2), 0, pulled.back());
  Maps told = pulled;
  EXPECT_EQ(Refitted(rows, {}, pulled).steps, 2);
  Refitted(rows, {.writer_fitted = true}, told);
  ExpectSame(pulled, told);
}

// The loss that the steps have to lower is that of the closed form without the rows that are held
// out, and in the end the module is no worse on them than the closed form that has seen them.
TEST_P(GaussNewtonRefit, AFittedWriterForgetsRowsThatAreHeldOut) {
  const RefitRows rows = Beyond();
  const int64_t items = rows.inputs.size(0), held_out = items / 4;
  const auto part = [&](int64_t begin, int64_t count) {
    return RefitRows{.inputs = rows.inputs.narrow(0, begin, count),
                     .targets = rows.targets.narrow(0, begin, count)};
  };
  const RefitRows seen = part(0, items - held_out), decide = part(items - held_out, held_out);
  Maps maps = Start();
  const Linear old = maps.back();
  const Tensor all = ReadByWriter(GetParam(), maps, rows.inputs),
               some = ReadByWriter(GetParam(), maps, seen.inputs);
  const Tensor centred = old.bias.defined() ? some - some.mean(0) : some;
  const double ridge = 1e-4 * centred.square().sum(0).mean().item<double>();
  maps.back() = FittedWriter(all, rows.targets.flatten(0, -2), ridge, old);
  Maps without = maps;
  without.back() = FittedWriter(some, seen.targets.flatten(0, -2), ridge, old);

  const double start = Loss(maps, decide), fair = Loss(without, decide);
  EXPECT_GT(fair, start);
  const RowGram hidden{
      .sum = GramOf(all), .mean = all.mean(0), .rows = static_cast<double>(all.size(0))};
  const StepsTaken taken =
      Refitted(rows, {.writer_fitted = true, .hidden = hidden}, maps, {.held_out = held_out});
  EXPECT_NEAR(taken.squared_error_before, fair, 1e-8 * fair);
  EXPECT_LE(taken.squared_error, taken.squared_error_before);
  EXPECT_LE(Loss(maps, decide), start * (1 + 1e-12));
}

TEST_P(GaussNewtonRefit, InFloat32ReachesTheLossOfFloat64) {
  const RefitRows rows = Beyond();
  RefitRows narrow{.inputs = rows.inputs.to(kF32), .targets = rows.targets.to(kF32)};
  Maps wide = Start(), maps = Start();
  for (Tensor* parameter : ParametersOf(maps)) *parameter = parameter->to(kF32);
  Refitted(rows, {}, wide);
  Refitted(narrow, {}, maps);
  for (Tensor* parameter : ParametersOf(maps)) *parameter = parameter->to(kF64);
  EXPECT_NEAR(Loss(maps, rows), Loss(wide, rows), 1e-3 * Loss(wide, rows));
}

// Chunks of queries that see each other's keys: gradients are right where the target is reached.
TEST(AttentionRefit, ReachesATargetOverSequencesLongerThanAChunk) {
  Shape shape = AttentionShape("Long", {{2, 4, 3}, {2, 6, 2}}, true, {0, 2, 0, 1, 3}, false);
  const Tensor inputs = Normals({1, 300, kWidth}, "inputs");
  const Maps reached = MakeMaps(shape, "true");
  const RefitRows rows{.inputs = inputs, .targets = shape.forward(reached, inputs)};
  Maps maps = reached;
  for (Tensor* parameter : ParametersOf(maps)) {
    *parameter = *parameter + 0.02 * Normals(parameter->sizes().vec(), "start");
  }
  const StepsTaken taken = shape.refit(Batches(rows), {.steps = 4, .iterations = 30}, maps);
  EXPECT_LT(taken.squared_error, 1e-3 * taken.squared_error_before);
}

TEST(RowSplit, HoldsOutOneSequenceInEightAndHasEveryItemOnce) {
  using Items = RowSplit::Items;
  struct Batch {
    int64_t sequences, tokens;
  };
  const std::vector<Batch> batches{{3, 5}, {1, 5}, {7, 4}, {9, 2}};
  for (const int64_t sequences : {1, 2, 7, 8, 20}) {
    for (const Items items : {Items::kSequences, Items::kTokens}) {
      for (const int64_t stride : {1, 2, 3}) {
        int64_t held_out = 0, begin = 0;
        RowSplit a(sequences, items, stride), b = a, c = a;
        for (const auto& [in_batch, tokens] : batches) {
          const int64_t count = std::min(in_batch, sequences - begin);
          const int64_t of_each = items == Items::kTokens ? tokens : 1;
          Indices all, held = a.Next(RowSet::kHeldOut, count, tokens);
          for (const Indices& part : {held, b.Next(RowSet::kCurvature, count, tokens),
                                      c.Next(RowSet::kGradient, count, tokens)}) {
            all.insert(all.end(), part.begin(), part.end());
          }
          std::sort(all.begin(), all.end());
          EXPECT_EQ(all, Complement({}, count * of_each));
          for (const int64_t item : held) EXPECT_TRUE(a.HeldOut(begin + item / of_each));
          held_out += static_cast<int64_t>(held.size()) / of_each;
          begin += count;
        }
        EXPECT_EQ(held_out, sequences == 1 ? 0 : std::max<int64_t>(sequences / 8, 1));
      }
    }
  }
}

TEST(RowSplit, LooksAtEveryNthItemThatIsFitted) {
  RowSplit split(10, RowSplit::Items::kSequences, 2);
  EXPECT_EQ(split.Next(RowSet::kCurvature, 5, 3), (Indices{0, 2, 4}));
  EXPECT_EQ(split.Next(RowSet::kCurvature, 5, 3), (Indices{1, 4}));  // 6 and 9; 7 is held out
  RowSplit tokens(2, RowSplit::Items::kTokens, 3);
  EXPECT_EQ(tokens.Next(RowSet::kGradient, 2, 4), (Indices{1, 2}));
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, GaussNewtonRefit,
    testing::Values(MlpShape("Silu", Activation::kSilu, true, false),
                    MlpShape("GatedWithBiases", Activation::kGeluTanh, true, true),
                    MlpShape("Relu", Activation::kRelu, false, true),
                    MlpShape("Gelu", Activation::kGelu, false, false),
                    AttentionShape("Rotary", {{1, 8, 3}, {1, 8, 3}}, true, {}, false),
                    AttentionShape("RotaryPairsOfGroups", {{2, 4, 3}, {2, 6, 2}, {2, 6, 2}}, true,
                                   {0, 2, 0, 1, 3, 1, 2, 3}, false),
                    AttentionShape("NoPositions", {{1, 3, 4}, {1, 4, 2}}, false, {}, true)),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace condense
