#include "compression/allocators/module_curves.h"

#include <algorithm>

#include "base/error.h"
#include "base/progress.h"
#include "base/system.h"
#include "model/divergence.h"

namespace condense {
namespace {

// Evenly spread sequences, cut to a number of tokens.
std::vector<std::vector<int32_t>> Windows(const CalibrationSet& set, const CurveOptions& options) {
  const auto all = static_cast<int64_t>(set.sequences.size());
  const int64_t count = std::min(options.windows, all);
  std::vector<std::vector<int32_t>> windows;
  for (int64_t i = 0; i < count; ++i) {
    windows.push_back(set.sequences[static_cast<size_t>(i * all / count)]);
    if (options.tokens && *options.tokens < static_cast<int64_t>(windows.back().size())) {
      windows.back().resize(static_cast<size_t>(*options.tokens));
    }
  }
  return windows;
}

int64_t WeightsOf(const Block& block, const ModelConfig& config, const TrialPart& part) {
  int64_t count = 0;
  for (const std::string& role : LinearRoles(config)) {
    const Module module = ModuleOf(role);
    if (std::find(part.modules.begin(), part.modules.end(), module) == part.modules.end()) continue;
    const Linear& linear = block.LinearOf(role);
    count += linear.factored() ? linear.a.numel() + linear.b.numel() : linear.weight.numel();
  }
  return count;
}

// A block with one part compressed, and the curve whose next point it is.
struct Trial {
  size_t curve = 0;
  Block block;
};

class CurveMeter {
 public:
  CurveMeter(StatisticsStore& statistics, const ModuleTrials& trials, const CurveOptions& options)
      : statistics_(statistics),
        model_(statistics.model()),
        trials_(trials),
        options_(options),
        tokens_(Windows(statistics.calibration(), options)),
        embedding_(model_.LoadEmbedding()),
        head_(LoadHeadFor(model_, embedding_)) {}

  std::vector<ModuleCurve> Measure() {
    const int64_t layers = model_.config().num_layers();
    Progress progress("measuring curves", layers, "layers");
    ActivationStream top(embedding_, tokens_, model_.device()), stream = top;
    for (int64_t l = 0; l < layers; ++l) {
      const Block block = model_.LoadBlock(l);
      top.Transform([&](const Tensor& x) { return block.Forward(x); });
    }
    statistics_.ForEachLayer(
        trials_.TrialRequests(model_.config()), [&](int64_t l, const BlockStatistics& statistics) {
          const InferenceScope inference;
          const Block dense = model_.LoadBlock(l);
          const std::vector<Trial> made = MakeTrials(
              {.model = model_.config(), .dense = dense, .statistics = statistics, .layer = l});
          const size_t group = TrialsAtOnce();
          for (size_t first = 0; first < made.size(); first += group) {
            const std::span trials =
                std::span(made).subspan(first, std::min(group, made.size() - first));
            Finish(trials, Run(trials, stream, l), top);
          }
          stream.Transform([&](const Tensor& x) { return dense.Forward(x); });
          progress.Advance();
        });
    return std::move(curves_);
  }

 private:
  // Streams of several models side by side, one tensor for each batch of tokens: [models x batch,
  // tokens, width], on the host.
  using States = std::vector<Tensor>;

  size_t TrialsAtOnce() const {
    const uint64_t bytes = static_cast<uint64_t>(tokens_.tokens() * model_.config().hidden_size) *
                           at::elementSize(model_.dtype());
    return std::max<uint64_t>(1, options_.state_bytes / bytes);
  }

  // Begins the curves of a layer; the points that the trials will measure have their fractions.
  std::vector<Trial> MakeTrials(const TrialInput& input) {
    std::vector<Trial> made;
    for (const TrialPart& part : trials_.TrialParts()) {
      ModuleCurve curve{.layer = input.layer, .part = part, .removed = {0}, .divergence = {0}};
      const auto whole = static_cast<double>(WeightsOf(input.dense, input.model, part));
      for (Block& block : trials_.CompressAlone(input, part, options_.levels)) {
        const auto left = static_cast<double>(WeightsOf(block, input.model, part));
        const double removed = 1 - left / whole;
        if (!(removed > curve.removed.back())) continue;  // rounded to the same width
        curve.removed.push_back(removed);
        made.push_back({.curve = curves_.size(), .block = std::move(block)});
      }
      curves_.push_back(std::move(curve));
    }
    return made;
  }

  // The streams of trial models after their last blocks, from the dense stream at layer l.
  States Run(std::span<const Trial> trials, const ActivationStream& stream, int64_t l) const {
    Progress progress("trial models", model_.config().num_layers() - l, "blocks");
    States states;
    for (int64_t b = 0; b < stream.batches(); ++b) {
      const Tensor x = stream.batch(b);
      std::vector<Tensor> parts;
      for (const Trial& trial : trials) {
        CheckInterrupt();
        parts.push_back(trial.block.Forward(x).to(at::kCPU));
      }
      states.push_back(at::cat(parts));
    }
    progress.Advance();
    for (int64_t above = l + 1; above < model_.config().num_layers(); ++above) {
      const Block block = model_.LoadBlock(above);
      for (Tensor& state : states) Advance(block, state);
      progress.Advance();
    }
    return states;
  }

  // As many rows at once as a batch of tokens has, whatever models they belong to.
  void Advance(const Block& block, Tensor& state) const {
    const int64_t rows =
        std::max<int64_t>(1, TokenBatches::kBatchTokens / std::max<int64_t>(1, state.size(1)));
    for (int64_t begin = 0; begin < state.size(0); begin += rows) {
      CheckInterrupt();
      Tensor part = state.narrow(0, begin, std::min(rows, state.size(0) - begin));
      part.copy_(block.Forward(part.to(model_.device())));
    }
  }

  void Finish(std::span<const Trial> trials, const States& states, const ActivationStream& top) {
    std::vector<double> sums(trials.size(), 0);
    for (size_t b = 0; b < states.size(); ++b) {
      const Tensor dense = top.batch(static_cast<int64_t>(b));
      std::vector<Tensor> compressed;
      for (size_t i = 0; i < trials.size(); ++i) {
        compressed.push_back(states[b]
                                 .narrow(0, static_cast<int64_t>(i) * dense.size(0), dense.size(0))
                                 .flatten(0, 1));
      }
      CheckInterrupt();
      const std::vector<double> of_batch = SumDivergences(head_, dense.flatten(0, 1), compressed);
      for (size_t i = 0; i < sums.size(); ++i) sums[i] += of_batch[i];
    }
    for (size_t i = 0; i < trials.size(); ++i) {
      ModuleCurve& curve = curves_[trials[i].curve];
      const double mean = sums[i] / static_cast<double>(tokens_.tokens());
      if (!std::isfinite(mean)) {
        throw MakeError<NumericError>(
            "layer {}, {}: with {:.4f} of it removed the model predicts values that are not finite",
            curve.layer, curve.part.name, curve.removed[curve.divergence.size()]);
      }
      curve.divergence.push_back(mean);
    }
  }

  StatisticsStore& statistics_;
  const ModelSource& model_;
  const ModuleTrials& trials_;
  const CurveOptions& options_;
  TokenBatches tokens_;
  Embedding embedding_;
  Head head_;
  std::vector<ModuleCurve> curves_;
};

}  // namespace

std::vector<ModuleCurve> MeasureCurves(StatisticsStore& statistics, const ModuleTrials& trials,
                                       const CurveOptions& options) {
  const InferenceScope inference;
  return CurveMeter(statistics, trials, options).Measure();
}

}  // namespace condense
