// MoDeGPT type I: keep MLP channels, refit the down projection by a Nystrom approximation
// (methods.md 1.2).
#include "compression/methods/modegpt/modegpt_modules.h"
#include "compression/refits/consumer_refit.h"

namespace condense {

StatRequests MlpRequests(const ModeGptOptions& options) {
  StatRequests requests = options.mlp_selector->Requests(Tap::kMlpHidden);
  requests.insert(Gram(Tap::kMlpHidden));
  if (options.refit_bias == RefitBias::kIntercept) requests.insert(Mean(Tap::kMlpHidden));
  return requests;
}

ModuleReport CompressMlp(const ModuleInput& input, int64_t width, Block& block) {
  const Mlp& dense = input.dense.mlp;
  ModuleReport report{.widths = {width}};
  if (width == dense.down.in()) return report;
  report.kept = input.options.mlp_selector->Select(
      MlpChannels(input.statistics, dense, input.random, input.options.ridge), width);
  const bool intercept =
      input.options.refit_bias == RefitBias::kIntercept && dense.down.bias.defined();
  const ConsumerRefitOptions options{.refit = input.options.refit,
                                     .mu = input.options.refit_mu,
                                     .bias = intercept ? RefitBias::kIntercept : RefitBias::kKeep};
  ConsumerRefit refit =
      RefitConsumer(options, input.statistics, Tap::kMlpHidden, dense.down, report.kept);
  report.damping = refit.damping;
  report.condition = refit.condition;
  report.relative_error = refit.relative_error;
  block.mlp.KeepChannels(IndexTensor(report.kept));
  block.mlp.down = std::move(refit.linear);
  return report;
}

}  // namespace condense
