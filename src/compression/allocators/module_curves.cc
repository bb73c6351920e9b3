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

int64_t WeightsOf(const Block& block, const ModelConfig& config, const ModuleGroup& group) {
  int64_t count = 0;
  for (const Role role : LinearRoles(config)) {
    const Module module = ModuleOf(role);
    if (std::find(group.modules.begin(), group.modules.end(), module) == group.modules.end())
      continue;
    const Linear& linear = block.LinearOf(role);
    count += linear.factored() ? linear.a.numel() + linear.b.numel() : linear.weight.numel();
  }
  return count;
}

// A block with one group of modules compressed, and the curve whose next point it is.
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
    top.Advance(model_, BlocksFrom(model_));
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
          stream.Advance(dense);
          progress.Advance();
        });
    return std::move(curves_);
  }

 private:
  size_t TrialsAtOnce() const {
    const uint64_t bytes = static_cast<uint64_t>(tokens_.tokens() * model_.config().hidden_size) *
                           at::elementSize(model_.dtype());
    return std::max<uint64_t>(1, options_.state_bytes / bytes);
  }

  // Begins the curves of a layer; the points that the trials will measure have their fractions.
  std::vector<Trial> MakeTrials(const TrialInput& input) {
    std::vector<Trial> made;
    for (const ModuleGroup& group : trials_.ModuleGroups()) {
      ModuleCurve curve{.layer = input.layer, .group = group, .removed = {0}, .divergence = {0}};
      const auto whole = static_cast<double>(WeightsOf(input.dense, input.model, group));
      for (Block& block : trials_.CompressAlone(input, group, options_.levels)) {
        const auto left = static_cast<double>(WeightsOf(block, input.model, group));
        const double removed = 1 - left / whole;
        if (!(removed > curve.removed.back())) continue;  // rounded to the same width
        curve.removed.push_back(removed);
        made.push_back({.curve = curves_.size(), .block = std::move(block)});
      }
      curves_.push_back(std::move(curve));
    }
    return made;
  }

  // The streams of trial models after their last blocks, from the dense stream at layer l. A batch
  // holds the rows of all trials side by side: [trials x batch, tokens, width].
  ActivationStream Run(std::span<const Trial> trials, const ActivationStream& stream,
                       int64_t l) const {
    Progress progress("trial models", model_.config().num_layers() - l, "blocks");
    std::vector<Tensor> states;
    stream.Visit([&](const Tensor& x) {
      std::vector<Tensor> pieces;
      for (const Trial& trial : trials) {
        CheckInterrupt();
        pieces.push_back(trial.block.Forward(x).to(at::kCPU));
      }
      states.push_back(at::cat(pieces));
    });
    progress.Advance();
    ActivationStream made(std::move(states), model_.device());
    made.Advance(model_, BlocksFrom(model_, l + 1), &progress);
    return made;
  }

  void Finish(std::span<const Trial> trials, const ActivationStream& states,
              const ActivationStream& top) {
    std::vector<double> sums(trials.size(), 0);
    for (int64_t b = 0; b < states.batches(); ++b) {
      const Tensor dense = top.batch(b), all = states.batch(b);
      std::vector<Tensor> compressed;
      for (size_t i = 0; i < trials.size(); ++i) {
        compressed.push_back(
            all.narrow(0, static_cast<int64_t>(i) * dense.size(0), dense.size(0)).flatten(0, 1));
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
            curve.layer, curve.group.name, curve.removed[curve.divergence.size()]);
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
