// The refit of whole MLPs, against automatic differentiation and explicit losses.
#include "compression/parts/mlp_refit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "base/error.h"
#include "unit/compression/matrices.h"

namespace condense {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

constexpr int64_t kTokens = 240, kWidth = 5, kChannels = 7, kOutputs = 4;

struct Shape {
  const char* name;
  Activation activation;
  bool gated, biased;
};

Mlp MakeMlp(const Shape& shape, const std::string& purpose) {
  const auto map = [&](int64_t out, int64_t in, const std::string& role) {
    Linear linear{.weight = 0.4 * Normals({out, in}, purpose + role)};
    if (shape.biased) linear.bias = 0.2 * Normals({out}, purpose + role + "bias");
    return linear;
  };
  Mlp mlp{.activation = shape.activation};
  if (shape.gated) mlp.gate = map(kChannels, kWidth, "gate");
  mlp.up = map(kChannels, kWidth, "up");
  mlp.down = map(kOutputs, kChannels, "down");
  return mlp;
}

std::vector<Tensor*> ParametersOf(Mlp& mlp) {
  std::vector<Tensor*> parameters;
  for (Linear* map : {&mlp.gate, &mlp.up, &mlp.down}) {
    for (Tensor* tensor : {&map->weight, &map->bias}) {
      if (tensor->defined()) parameters.push_back(tensor);
    }
  }
  return parameters;
}

// All rows in batches of some size.
MlpVisit Batches(const MlpRows& rows, int64_t size = 100) {
  return [=](int64_t stride, const std::function<void(const MlpRows&)>& fn) {
    for (int64_t begin = 0; begin < rows.inputs.size(0); begin += size) {
      const int64_t end = std::min(begin + size, rows.inputs.size(0));
      const auto part = [&](const Tensor& all) {
        return all.defined() ? all.slice(0, begin, end, stride) : all;
      };
      fn({part(rows.inputs), part(rows.targets), part(rows.weights)});
    }
  };
}

double Loss(const Mlp& mlp, const MlpRows& rows) {
  Tensor squares = (rows.targets - mlp.Forward(rows.inputs, nullptr)).square().sum(1);
  if (rows.weights.defined()) squares = squares * rows.weights;
  return squares.sum().item<double>();
}

Tensor DampedGram(const Mlp& mlp, const MlpRows& rows) {
  const Tensor gram = GramOf(mlp.Hidden(rows.inputs));
  return gram + 1e-4 * gram.diagonal().mean() * at::eye(kChannels, gram.options());
}

MlpRefitResult Refitted(const MlpRows& rows, const MlpRefitOptions& options, Mlp& mlp,
                        int64_t batch = 100) {
  return RefitMlp(Batches(rows, batch), DampedGram(mlp, rows), options, "layer 3", mlp);
}

class MlpRefit : public testing::TestWithParam<Shape> {
 protected:
  // Targets of a MLP of the same shape, which can be reached.
  MlpRows Reachable() const {
    MlpRows rows{.inputs = Normals({kTokens, kWidth}, "inputs")};
    rows.targets = MakeMlp(GetParam(), "true").Forward(rows.inputs, nullptr);
    return rows;
  }
  // The same with something that no MLP of this shape makes.
  MlpRows Beyond() const {
    MlpRows rows = Reachable();
    rows.targets = rows.targets + 0.3 * Normals({kTokens, kOutputs}, "noise");
    return rows;
  }
  // Not far from where the targets come from.
  Mlp Start() const {
    Mlp mlp = MakeMlp(GetParam(), "true");
    for (Tensor* parameter : ParametersOf(mlp)) {
      *parameter = *parameter + 0.05 * Normals(parameter->sizes().vec(), "start");
    }
    return mlp;
  }
};

TEST_P(MlpRefit, ReachesATargetThatItsMatricesCanReach) {
  const MlpRows rows = Reachable();
  Mlp mlp = Start();
  const double before = Loss(mlp, rows);
  const MlpRefitResult refit = Refitted(rows, {.steps = 20, .iterations = 60, .stride = 1}, mlp);
  EXPECT_NEAR(refit.squared_error_before, before, 1e-9 * before);
  EXPECT_LT(Loss(mlp, rows), 1e-6 * before);
  EXPECT_NEAR(refit.squared_error, Loss(mlp, rows), 1e-9 * before);
}

// The gradient by automatic differentiation of what is minimised, weights of rows included.
TEST_P(MlpRefit, EndsWhereTheGradientVanishes) {
  MlpRows rows = Beyond();
  rows.weights = Normals({kTokens}, "weights").square() + 0.1;
  Mlp mlp = Start();
  const auto gradient = [&](Mlp at) {
    const at::AutoGradMode recorded(true);
    double norm = 0;
    std::vector<Tensor> leaves;
    for (Tensor* parameter : ParametersOf(at)) {
      *parameter = parameter->clone().requires_grad_();
      leaves.push_back(*parameter);
    }
    const Tensor error = (rows.targets - at.Forward(rows.inputs, nullptr)).square().sum(1);
    (error * rows.weights).sum().backward();
    for (const Tensor& leaf : leaves) norm += SquaredNorm(leaf.grad());
    return std::sqrt(norm);
  };
  const double before = gradient(mlp);
  Refitted(rows, {.steps = 400, .iterations = 8, .stride = 1}, mlp);
  // The last of it goes slowly along flat directions; relu has kinks.
  EXPECT_LT(gradient(mlp), (GetParam().activation == Activation::kRelu ? 0.05 : 0.01) * before);
}

TEST_P(MlpRefit, NeverRaisesTheLoss) {
  const MlpRows rows = Beyond();
  for (const int64_t stride : {1, 4, 60}) {
    Mlp mlp = MakeMlp(GetParam(), "elsewhere");
    double loss = Loss(mlp, rows);
    for (int step = 0; step < 12; ++step) {
      const MlpRefitResult refit =
          Refitted(rows, {.steps = 1, .iterations = 4, .stride = stride}, mlp);
      EXPECT_LE(Loss(mlp, rows), loss * (1 + 1e-12)) << stride << " " << step;
      EXPECT_EQ(refit.steps == 0, Loss(mlp, rows) == loss);
      loss = Loss(mlp, rows);
    }
  }
}

TEST_P(MlpRefit, TakesRowsInBatchesAsOneAndAWeightOfTwoAsTheRowTwice) {
  const MlpRows rows = Beyond();
  const MlpRefitOptions options{.steps = 2, .iterations = 5, .stride = 1};
  const auto same = [&](Mlp a, Mlp b) {
    const std::vector<Tensor*> left = ParametersOf(a), right = ParametersOf(b);
    for (size_t i = 0; i < left.size(); ++i) EXPECT_LT(MaxDifference(*left[i], *right[i]), 1e-8);
  };
  Mlp whole = Start(), batches = Start();
  Refitted(rows, options, whole, kTokens);
  Refitted(rows, options, batches, 37);
  same(whole, batches);

  MlpRows weighted = rows, twice = rows;
  weighted.weights = at::ones({kTokens}, rows.inputs.options());
  weighted.weights.narrow(0, 0, 50) *= 2;
  twice.inputs = at::cat({rows.inputs.narrow(0, 0, 50), rows.inputs});
  twice.targets = at::cat({rows.targets.narrow(0, 0, 50), rows.targets});
  Mlp once = Start(), doubled = Start();
  const Tensor gram = DampedGram(once, rows);
  RefitMlp(Batches(weighted), gram, options, "layer 3", once);
  RefitMlp(Batches(twice), gram, options, "layer 3", doubled);
  same(once, doubled);
}

TEST_P(MlpRefit, WithoutStepsOrErrorLeavesAllBitForBit) {
  const auto untouched = [&](const MlpRows& rows, int64_t steps) {
    Mlp mlp = MakeMlp(GetParam(), "true"), before = MakeMlp(GetParam(), "true");
    EXPECT_EQ(Refitted(rows, {.steps = steps}, mlp).steps, 0);
    const std::vector<Tensor*> left = ParametersOf(mlp), right = ParametersOf(before);
    for (size_t i = 0; i < left.size(); ++i) EXPECT_TRUE(at::equal(*left[i], *right[i]));
  };
  untouched(Beyond(), 0);
  untouched(Reachable(), 3);
}

TEST_P(MlpRefit, KeepsTheTypeOfTheMatrices) {
  const MlpRows rows = Beyond();
  Mlp mlp = Start();
  for (Tensor* parameter : ParametersOf(mlp)) *parameter = parameter->to(at::kBFloat16);
  Mlp wide = mlp;
  for (Tensor* parameter : ParametersOf(wide)) *parameter = parameter->to(kF64);
  const double before = Loss(wide, rows);
  RefitMlp(Batches(rows), DampedGram(wide, rows), {}, "layer 3", mlp);
  for (Tensor* parameter : ParametersOf(mlp)) {
    EXPECT_EQ(parameter->scalar_type(), at::kBFloat16);
    *parameter = parameter->to(kF64);
  }
  EXPECT_LT(Loss(mlp, rows), before);
}

INSTANTIATE_TEST_SUITE_P(Shapes, MlpRefit,
                         testing::Values(Shape{"Silu", Activation::kSilu, true, false},
                                         Shape{"GatedWithBiases", Activation::kGeluTanh, true,
                                               true},
                                         Shape{"Relu", Activation::kRelu, false, true},
                                         Shape{"Gelu", Activation::kGelu, false, false}),
                         [](const auto& info) { return info.param.name; });

TEST(MlpRefitErrors, SayWhereAStepIsNotFinite) {
  const Shape shape{"Silu", Activation::kSilu, true, false};
  MlpRows rows{.inputs = Normals({kTokens, kWidth}, "inputs")};
  rows.targets = Normals({kTokens, kOutputs}, "targets");
  rows.inputs[3][1] = std::numeric_limits<double>::quiet_NaN();
  Mlp mlp = MakeMlp(shape, "start");
  const Tensor gram = at::eye(kChannels, rows.inputs.options());
  EXPECT_THAT([&] { RefitMlp(Batches(rows), gram, {}, "layer 3", mlp); },
              ThrowsMessage<NumericError>(HasSubstr("layer 3")));
}

}  // namespace
}  // namespace condense
