// `condense`, MLP: channels go one by one, the down projection adapting each time; what is left is
// refitted to the target. The elimination sees the target too: it starts from the full refit.
#include <algorithm>

#include "compression/methods/condense_modules.h"

namespace condense {
namespace {

Indices KeptChannels(const CondenseOptions& options, const TargetFit& fit, const Tensor& w,
                     int64_t width) {
  const int64_t channels = fit.c.size(0);
  if (width == channels) return Complement({}, channels);
  if (options.mlp == MlpSelection::kLeverage) {
    return SmallestIndices(RidgeInverseDiagonal(fit.c, fit.Ridge(options.lambda)).values, width);
  }
  const Elimination elimination =
      EliminateBackward(fit.c, fit.Solution(w, options.lambda), channels - width,
                        {.relative_damping = options.lambda, .drop_block = options.drop_block});
  Indices removed = elimination.order;
  std::sort(removed.begin(), removed.end());
  return Complement(removed, channels);
}

}  // namespace

ModuleReport FitMlp(const CondenseContext& context, const TargetFit& fit, int64_t width,
                    Block& block) {
  const double lambda = context.options.lambda;
  Mlp& mlp = block.mlp;
  const Tensor w = mlp.down.weight.t().to(kF64);  // [m, d]
  ModuleReport report{.widths = {width}};
  report.kept = KeptChannels(context.options, fit, w, width);
  const FittedMap fitted = FitKept(fit, report.kept, w, lambda);
  report.damping = fitted.damping;
  report.condition = fitted.condition;
  report.relative_error = fitted.relative_error;
  const DType dtype = mlp.down.weight.scalar_type();
  mlp.KeepChannels(IndexTensor(report.kept));
  mlp.down.weight = fitted.weight.t().to(dtype).contiguous();
  if (fitted.bias.defined()) mlp.down.bias = fitted.bias.to(dtype);
  return report;
}

}  // namespace condense
