// MoDeGPT type I: keep MLP channels, refit the down projection by a Nystrom approximation
// (methods.md 1.2).
#include <cmath>

#include "compression/methods/modegpt_modules.h"

namespace condense {
namespace {

RefitResult RefitDown(const ModeGptOptions& options, const Tensor& c, const Tensor& w,
                      const Indices& kept) {
  switch (options.refit) {
    case Refit::kDelta:
      return RefitDelta(c, w, kept, options.refit_mu);
    case Refit::kMinNorm:
      return RefitMinNorm(c, w, kept);
    case Refit::kNone:
      return NoRefit(c, w, kept);
  }
  return {};
}

}  // namespace

StatRequests MlpRequests(const ModeGptOptions& options) {
  StatRequests requests = options.mlp_selector->Requests();
  requests.insert(Gram(Tap::kMlpHidden));
  if (options.refit_bias == RefitBias::kIntercept) requests.insert(Mean(Tap::kMlpHidden));
  return requests;
}

ModuleReport CompressMlp(const ModuleInput& input, int64_t width, Block& block) {
  const Mlp& dense = input.dense.mlp;
  ModuleReport report{.widths = {width}};
  if (width == dense.down.in()) return report;
  const ChannelInput channels{.statistics = input.statistics,
                              .mlp = dense,
                              .random = input.random,
                              .ridge = input.options.ridge};
  report.kept = input.options.mlp_selector->Select(channels, width);

  // W_D [m, d]; y = h W_D + b_D
  const Tensor w = channels.Consumer();
  Tensor c = StatisticOf(input, Gram(Tap::kMlpHidden));
  const bool intercept =
      input.options.refit_bias == RefitBias::kIntercept && dense.down.bias.defined();
  Tensor mean;
  if (intercept) {
    mean = StatisticOf(input, Mean(Tap::kMlpHidden));
    c = ShiftedGram(c, mean, mean, input.statistics.tokens);
  }
  const RefitResult refit = RefitDown(input.options, c, w, report.kept);
  report.damping = refit.damping;
  report.condition = refit.condition;
  if (refit.squared_norm > 0) {
    report.relative_error = std::sqrt(refit.squared_error / refit.squared_norm);
  }

  const Tensor rows = IndexTensor(report.kept).to(w.device());
  block.mlp.KeepChannels(rows);
  block.mlp.down.weight = refit.weight.t().to(dense.down.weight.scalar_type()).contiguous();
  if (intercept) {
    const Tensor bias = dense.down.bias.to(kF64) + at::matmul(mean, w) -
                        at::matmul(mean.index_select(0, rows), refit.weight);
    block.mlp.down.bias = bias.to(dense.down.bias.scalar_type());
  }
  return report;
}

}  // namespace condense
