// `condense`, MLP: channels go one by one, the down projection adapting each time; what is left is
// refitted to the target. The elimination sees the target too: it starts from the full refit, which
// is the matrix as it is where its own outputs are the target.
#include <algorithm>

#include "compression/methods/condense/condense_modules.h"
#include "compression/solvers/elimination.h"
#include "compression/solvers/refit.h"

namespace condense {
namespace {

class MlpNarrower final : public ModuleNarrower {
 public:
  MlpNarrower(const TrialOptions& options, const TargetFit& fit, const Block& block, int64_t least)
      : options_(options), fit_(fit), w_(block.mlp.down.weight.t().to(kF64)) {
    const int64_t removed = channels() - least;
    if (removed == 0) return;
    if (options_.mlp == MlpSelection::kLeverage) {
      inverse_diagonal_ = RidgeInverseDiagonal(fit.regression.c, fit.Ridge(options_.lambda)).values;
      return;
    }
    const EliminationOptions elimination{.relative_damping = options_.lambda};
    order_ = fit.of_old_weights
                 ? EliminateBackward(fit.regression.c, w_, removed, elimination).order
                 : EliminateTowards(fit.regression, w_, removed, elimination).order;
  }

  ModuleReport Narrow(int64_t width, Block& block) const override {
    Mlp& mlp = block.mlp;
    ModuleReport report{.widths = {width}};
    report.kept = Kept(width);
    const FittedMap fitted = FitKept(fit_, report.kept, w_, options_.lambda);
    report.damping = fitted.damping;
    report.condition = fitted.condition;
    report.relative_error = fitted.relative_error;
    const DType dtype = mlp.down.weight.scalar_type();
    mlp.KeepChannels(IndexTensor(report.kept));
    mlp.down.weight = fitted.weight.t().to(dtype).contiguous();
    if (fitted.bias.defined()) mlp.down.bias = fitted.bias.to(dtype);
    return report;
  }

 private:
  int64_t channels() const { return w_.size(0); }

  Indices Kept(int64_t width) const {
    if (inverse_diagonal_.defined()) return SmallestIndices(inverse_diagonal_, width);
    Indices removed(order_.begin(), order_.begin() + (channels() - width));
    std::sort(removed.begin(), removed.end());
    return Complement(removed, channels());
  }

  const TrialOptions& options_;
  const TargetFit& fit_;
  Tensor w_;                 // [m, d]
  Indices order_;            // of elimination
  Tensor inverse_diagonal_;  // with leverage
};

}  // namespace

ModuleNarrowerPointer MakeMlpNarrower(const CondenseContext& context, const TargetFit& fit,
                                      const Block& block, int64_t least) {
  return std::make_unique<MlpNarrower>(context.options, fit, block, least);
}

}  // namespace condense
