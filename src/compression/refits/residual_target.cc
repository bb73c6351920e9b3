#include "compression/refits/residual_target.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "compression/solvers/refit.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

// Rows that are converted to float64 at a time.
constexpr int64_t kTileRows = 2048;
// Ridge of the map that undoes a drift, towards the identity.
constexpr double kDriftRidge = 1e-3;

FittedMap Fitted(const RefitResult& refit, const Tensor& input_mean, const Tensor& target_mean) {
  FittedMap fitted{.weight = refit.weight, .damping = refit.damping, .condition = refit.condition};
  if (refit.squared_norm > 0) {
    fitted.relative_error = std::sqrt(refit.squared_error / refit.squared_norm);
  }
  if (input_mean.defined()) fitted.bias = Intercept(input_mean, target_mean, refit.weight);
  return fitted;
}

}  // namespace

Tensor TokenWeights(TokenWeight rule, const Tensor& stream) {
  if (rule == TokenWeight::kNone) return {};
  const Tensor rows = stream.reshape({-1, stream.size(-1)}).to(kF64);
  const Tensor energy = rows.square().sum(1);
  // A token without a residual has no norm to divide by, and nothing that a norm would make larger.
  return at::where(energy > 0, energy.reciprocal(), at::zeros_like(energy));
}

TargetFit TargetFit::WithOwnTargets(const Tensor& w, const Tensor& bias) const {
  TargetFit own = *this;
  own.of_old_weights = true;
  own.regression.b = at::matmul(regression.c, w);
  own.regression.target_norm = Dot(w, own.regression.b);
  if (intercept()) {
    own.target_mean = at::matmul(input_mean, w);
    if (bias.defined()) own.target_mean = own.target_mean + bias;
  }
  return own;
}

RowGram TargetFit::InputGram(const Tensor& kept, DType dtype) const {
  const auto rows_of = [&](const Tensor& all) {
    return kept.defined() ? all.index_select(0, kept.to(all.device())) : all;
  };
  Tensor gram = regression.c, mean;
  if (kept.defined()) {
    const Tensor index = kept.to(gram.device());
    gram = at::index(gram, {index.unsqueeze(1), index});
  }
  if (intercept()) {
    mean = rows_of(input_mean);
    gram = gram + at::outer(mean, mean * rows);
    mean = mean.to(dtype);
  }
  return {.sum = gram.to(dtype), .mean = mean, .rows = rows};
}

double TargetFit::Ridge(double relative) const {
  return relative * regression.c.diagonal().mean().item<double>();
}

void TargetSums::Add(const Tensor& inputs, const Tensor& targets, const Tensor& weights) {
  const Tensor all_y = inputs.reshape({-1, inputs.size(-1)});
  const Tensor all_t = targets.reshape({-1, targets.size(-1)});
  CONDENSE_CHECK(all_y.size(0) == all_t.size(0), "{} inputs, {} targets", all_y.size(0),
                 all_t.size(0));
  for (int64_t begin = 0; begin < all_y.size(0); begin += kTileRows) {
    const int64_t rows = std::min(kTileRows, all_y.size(0) - begin);
    Tensor y = all_y.narrow(0, begin, rows), t = all_t.narrow(0, begin, rows).to(kF64);
    if (math_ == GramMath::kFloat64 || y.scalar_type() == kF16 || y.scalar_type() == kBF16) {
      y = y.to(math_ == GramMath::kFloat64 ? kF64 : kF32);
    }
    Tensor weight = at::full({}, static_cast<double>(rows), t.options());
    if (weights.defined()) {
      const Tensor root = weights.narrow(0, begin, rows).sqrt().unsqueeze(1);  // [rows, 1]
      weight = root.square().sum();
      AddTo(input_sum_, (y * root.square()).sum(0));
      AddTo(target_sum_, (t * root.square()).sum(0));
      y = y * root.to(y.scalar_type()), t = t * root;
    } else {
      AddTo(input_sum_, y.sum(0, /*keepdim=*/false, kF64));
      AddTo(target_sum_, t.sum(0));
    }
    AddTo(weight_, weight);
    AddTo(target_norm_, t.square().sum());
    products_.Add(y, t.to(y.scalar_type()));
    gram_.Add(y);
  }
}

TargetFit TargetSums::Finish(bool intercept, const std::string& where) {
  CONDENSE_CHECK(weight_.defined(), "{}: no batch was added", where);
  TargetFit fit{.regression = {.c = gram_.Take(),
                               .b = products_.Take(),
                               .target_norm = target_norm_.item<double>()},
                .rows = weight_.item<double>()};
  RequireFinite(fit.regression.c, where + ": Gram matrix of the inputs of a refit");
  RequireFinite(fit.regression.b, where + ": products of inputs and targets of a refit");
  return intercept ? Centred(std::move(fit)) : fit;
}

TargetFit TargetSums::Centred(TargetFit fit) const {
  const double weight = weight_.item<double>();
  if (weight == 0) return fit;
  fit.input_mean = input_sum_ / weight;
  fit.target_mean = target_sum_ / weight;
  Regression& r = fit.regression;
  r.c = WithoutRounding(r.c - at::outer(fit.input_mean, input_sum_), r.c.diagonal());
  r.b = r.b - at::outer(fit.input_mean, target_sum_);
  r.target_norm = std::max(0.0, r.target_norm - Dot(fit.target_mean, target_sum_));
  return fit;
}

TargetFit DenseFit(const Tensor& gram, const Tensor& mean, int64_t tokens, const Tensor& w,
                   const Tensor& bias) {
  TargetFit fit{.regression = {.c = gram}};
  if (mean.defined()) {
    fit.regression.c = ShiftedGram(gram, mean, mean, tokens);
    fit.input_mean = mean;
  }
  return fit.WithOwnTargets(w, bias);
}

FittedMap FitKept(const TargetFit& fit, const Indices& kept, const Tensor& start,
                  double relative_ridge) {
  Tensor mean;
  if (fit.intercept()) {
    mean = fit.input_mean.index_select(0, IndexTensor(kept).to(fit.input_mean.device()));
  }
  return Fitted(RefitTowards(fit.regression, start, kept, relative_ridge), mean, fit.target_mean);
}

FittedMap FitThrough(const TargetFit& fit, const Tensor& first, const Tensor& start,
                     double relative_ridge) {
  const Regression behind{
      .c = Symmetrised(at::matmul(first.t(), at::matmul(fit.regression.c, first))),
      .b = at::matmul(first.t(), fit.regression.b),
      .target_norm = fit.regression.target_norm};
  const double mean_energy = behind.c.diagonal().mean().item<double>();
  const double relative = mean_energy > 0 ? fit.Ridge(relative_ridge) / mean_energy : 0;
  Tensor mean;
  if (fit.intercept()) mean = at::matmul(fit.input_mean, first);
  return Fitted(
      RefitTowards(behind, at::matmul(first.t(), start), Complement({}, first.size(1)), relative),
      mean, fit.target_mean);
}

TargetFit FollowDrift(TargetSums& sums, double share, const std::string& where,
                      const std::vector<Linear*>& readers) {
  const TargetFit plain = sums.Finish(/*intercept=*/false, where);
  for (const bool biased : {false, true}) {
    std::vector<Linear*> members;
    for (Linear* linear : readers) {
      if (linear->weight.defined() && linear->bias.defined() == biased) members.push_back(linear);
    }
    if (members.empty()) continue;
    const TargetFit fit = biased ? sums.Centred(plain) : plain;
    const int64_t width = fit.regression.c.size(0);
    const Tensor identity = at::eye(width, fit.regression.c.options());
    const FittedMap back = FitKept(fit, Complement({}, width), identity, kDriftRidge);
    const Tensor map = (1 - share) * identity + share * back.weight;
    for (Linear* linear : members) {
      const DType dtype = linear->weight.scalar_type();
      const Tensor w = linear->weight.t().to(kF64);
      if (biased) {
        linear->bias = (linear->bias.to(kF64) + share * at::matmul(back.bias, w))
                           .to(linear->bias.scalar_type());
      }
      linear->weight = at::matmul(map, w).t().to(dtype).contiguous();
    }
  }
  return plain;
}

}  // namespace condense
