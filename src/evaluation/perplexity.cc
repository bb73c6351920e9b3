#include "evaluation/perplexity.h"

#include <cmath>

#include "base/error.h"
#include "base/progress.h"
#include "base/system.h"
#include "evaluation/bad_layer.h"
#include "model/activation_stream.h"
#include "model/causal_lm.h"
#include "model/check.h"
#include "model/loss.h"

namespace condense {
namespace {

// Tokens that pass through the model together: enough to keep matrix products efficient, few enough
// for their activations to stay in cache.
constexpr int64_t kResidentBatchTokens = 2048;

class Collector {
 public:
  Collector(const ModelSource& model, const EvaluationText& text, PerplexityResult& result)
      : model_(model), text_(text), result_(result) {}

  // ids: [batch, window] of the next windows in order; hidden: what the last block made of them.
  void Add(const Head& head, const Tensor& ids, const Tensor& hidden) {
    const auto precision =
        text_.loss_dtype == LossDtype::kEmulated ? LossPrecision::kLogits : LossPrecision::kFloat32;
    Tensor nll = NextTokenNll(head, hidden, ids, precision);  // [batch, window - 1]
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
      if (!std::isfinite(sum[i])) Refuse(ids[i], nll[i]);
      result_.window_nll.push_back(count[i] > 0 ? sum[i] / count[i] : 0);
      weights_.push_back(text_.average == LossAverage::kTokens ? count[i] : count[i] > 0);
    }
  }

  // Mean of window means, or over all targets; a window whose targets are all ignored has no part
  // in it.
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

void RunResident(const ModelSource& model, const TokenBatches& batches, Collector& collector) {
  const Tensor frequencies = FrequenciesOf(model);
  const BlockContext context{.rope_frequencies = frequencies.defined() ? &frequencies : nullptr};
  const Embedding embedding = model.LoadEmbedding();
  const Head head = model.LoadHead();
  std::vector<Block> blocks;
  for (int64_t l = 0; l < model.config().num_layers(); ++l) blocks.push_back(model.LoadBlock(l));
  Progress progress("perplexity", static_cast<int64_t>(batches.ids().size()), "batches");
  for (const Tensor& host_ids : batches.ids()) {
    CheckInterrupt();
    const Tensor ids = host_ids.to(model.device());
    Tensor x = embedding.Forward(ids);
    for (const Block& block : blocks) x = block.Forward(x, context);
    collector.Add(head, ids, x);
    progress.Advance();
  }
}

void RunStreamed(const ModelSource& model, const TokenBatches& batches, Collector& collector) {
  const Tensor frequencies = FrequenciesOf(model);
  const BlockContext context{.rope_frequencies = frequencies.defined() ? &frequencies : nullptr};
  ActivationStream stream(model.LoadEmbedding(), batches, model.device());
  Progress progress("perplexity", model.config().num_layers(), "layers");
  for (int64_t l = 0; l < model.config().num_layers(); ++l) {
    const Block block = model.LoadBlock(l);
    stream.Transform([&](const Tensor& x) { return block.Forward(x, context); });
    progress.Advance();
  }
  const Head head = model.LoadHead();
  for (int64_t i = 0; i < stream.batches(); ++i) {
    CheckInterrupt();
    collector.Add(head, batches.ids()[static_cast<size_t>(i)].to(model.device()), stream.batch(i));
  }
}

}  // namespace

double PerplexityResult::Low() const { return std::exp(mean_nll - 1.96 * standard_error); }
double PerplexityResult::High() const { return std::exp(mean_nll + 1.96 * standard_error); }

PerplexityResult EvaluatePerplexity(const ModelSource& model, const EvaluationText& text) {
  const InferenceScope inference;
  const Stopwatch watch;
  RequirePositions(text, model.config().max_positions);
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
  const TokenBatches batches(windows, kResidentBatchTokens);
  Collector collector(model, text, result);
  if (model.resident()) {
    RunResident(model, batches, collector);
  } else {
    RunStreamed(model, batches, collector);
  }

  const auto n = static_cast<double>(result.window_nll.size());
  result.mean_nll = collector.Mean();
  result.perplexity = std::exp(result.mean_nll);
  if (n > 1) {
    double squares = 0;
    for (const double loss : result.window_nll) squares += std::pow(loss - result.mean_nll, 2);
    result.standard_error = std::sqrt(squares / (n - 1) / n);
  }
  result.seconds = watch.Seconds();
  return result;
}

}  // namespace condense
