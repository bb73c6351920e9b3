#include "evaluation/perplexity.h"

#include <cmath>

#include "base/error.h"
#include "base/progress.h"
#include "base/system.h"
#include "evaluation/bad_layer.h"
#include "model/hidden_states.h"
#include "model/loss.h"
#include "model/stored/check.h"

namespace condense {
namespace {

class Collector {
 public:
  Collector(const ModelSource& model, const EvaluationText& text, PerplexityResult& result)
      : model_(model), text_(text), result_(result) {}

  // windows: [batch, window], the next ones in order; hidden: their states after the last block.
  void Add(const Head& head, const Tensor& windows, const Tensor& hidden) {
    const auto precision =
        text_.loss_dtype == LossDtype::kEmulated ? LossPrecision::kLogits : LossPrecision::kFloat32;
    // From the position that predicts the first target on.
    const int64_t first = text_.first_target - 1, length = text_.window - first;
    const Tensor ids = windows.narrow(1, first, length).to(hidden.device());
    Tensor nll = NextTokenNll(head, hidden.narrow(1, first, length), ids, precision);
    Tensor counts = at::full({nll.size(0)}, nll.size(1), nll.options());
    if (text_.ignored_targets > 0) {
      const Tensor counted = ids.narrow(1, 1, nll.size(1)) != *text_.ignore_id;
      nll = at::where(counted, nll, 0.0);
      counts = counted.sum(1).to(kF64);
    }
    const Tensor sums = nll.sum(1).cpu();
    counts = counts.cpu();
    const double* sum = sums.const_data_ptr<double>();
    const double* count = counts.const_data_ptr<double>();
    for (int64_t i = 0; i < sums.size(0); ++i) {
      if (!std::isfinite(sum[i])) Refuse(windows[i], nll[i]);
      result_.window_nll.push_back(count[i] > 0 ? sum[i] / count[i] : 0);
      weights_.push_back(text_.average == LossAverage::kTokens ? count[i] : count[i] > 0);
    }
  }

  // Mean of window means, or over all targets. A window whose targets are all ignored has no
  // weight.
  double Mean() const {
    double sum = 0, weight = 0;
    for (size_t k = 0; k < weights_.size(); ++k) {
      sum += weights_[k] * result_.window_nll[k];
      weight += weights_[k];
    }
    if (weight == 0) throw MakeError<DataError>("{}: no target counts", text_.source);
    return sum / weight;
  }

 private:
  [[noreturn]] void Refuse(const Tensor& ids, const Tensor& nll) const {
    const auto bad = (~at::isfinite(nll)).sum().item<int64_t>();
    throw MakeError<NumericError>("window {}: {} of {} losses are not finite; first seen after {}",
                                  result_.window_nll.size(), bad, nll.numel(),
                                  FirstBadLayer(model_, ids.unsqueeze(0)));
  }

  const ModelSource& model_;
  const EvaluationText& text_;
  PerplexityResult& result_;
  std::vector<double> weights_;
};

double SpreadOfMean(const PerplexityResult& result) {
  const auto n = static_cast<double>(result.window_nll.size());
  if (n < 2) return 0;
  double squares = 0;
  for (const double loss : result.window_nll) squares += std::pow(loss - result.mean_nll, 2);
  return std::sqrt(squares / (n - 1) / n);
}

// In units of perplexity. Resamples blocks of neighbouring windows, which are correlated.
Interval BootstrapInterval(const std::vector<double>& window_nll) {
  const Interval nll = BlockBootstrapMean(window_nll, 0, {.purpose = "bootstrap perplexity"});
  return {std::exp(nll.low), std::exp(nll.high)};
}

}  // namespace

PerplexityResult EvaluatePerplexity(const ModelSource& model, const EvaluationText& text) {
  const InferenceScope inference;
  const Stopwatch watch;
  RequirePositions(text, model.config().LongestText());
  PerplexityResult result{.windows = text.windows,
                          .window = text.window,
                          .tokens = static_cast<int64_t>(text.ids.size()),
                          .window_nll = {},
                          .ids_sha256 = text.ids_sha256};
  std::vector<std::vector<TokenId>> windows;
  for (int64_t k = 0; k < text.windows; ++k) {
    windows.push_back(text.Window(k));
    RequireKnownIds(model.config(), windows.back(), fmt::format("{}: window {}", text.source, k));
  }
  const TokenBatches batches(windows, HiddenStates::kBatchTokens);
  Collector collector(model, text, result);
  const HiddenStates states(model, batches, "perplexity");
  Progress progress("perplexity", text.windows, "windows");
  for (size_t i = 0; i < batches.ids().size(); ++i) {
    collector.Add(states.head(), batches.ids()[i], states.Batch(static_cast<int64_t>(i)));
    progress.Advance(batches.ids()[i].size(0));
  }

  result.mean_nll = collector.Mean();
  result.perplexity = std::exp(result.mean_nll);
  result.standard_error = SpreadOfMean(result);
  result.bootstrap = BootstrapInterval(result.window_nll);
  result.seconds = watch.Seconds();
  return result;
}

}  // namespace condense
