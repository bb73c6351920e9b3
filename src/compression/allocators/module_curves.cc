#include "compression/allocators/module_curves.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "base/error.h"
#include "base/progress.h"
#include "base/system.h"
#include "calibration/score_statistics.h"
#include "compression/allocators/trial_states.h"
#include "model/activation_stream.h"
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

// Whether two blocks share all tensors of attention and the norm before it.
bool SameAttention(const Block& a, const Block& b) {
  const auto tensors = [](const Block& block) {
    std::vector<Tensor> all;
    Attention attention = block.attention;
    Norm norm = block.norm1;
    attention.ForEachTensor([&](const std::string&, const Tensor& x) { all.push_back(x); });
    norm.ForEachTensor("norm1", [&](const std::string&, const Tensor& x) { all.push_back(x); });
    return all;
  };
  const std::vector<Tensor> of_a = tensors(a), of_b = tensors(b);
  return std::equal(of_a.begin(), of_a.end(), of_b.begin(), of_b.end(),
                    [](const Tensor& x, const Tensor& y) { return x.is_same(y); });
}

// A batch of the dense model on its way through one block.
class DenseBatch {
 public:
  DenseBatch(const Block& block, Tensor x)
      : block_(block), x_(std::move(x)), mid_(block.ForwardAttention(x_)) {
    // As many as one product takes at a time: hidden features are wide.
    if (x_.size(0) * x_.size(1) > TokenBatches::kBatchTokens) return;
    hidden_ = block.mlp.Hidden(block.norm2.Forward(mid_));
  }

  // What a trial of this block makes of it. What the trial shares with the dense block is not
  // computed again: MLP channels that stayed are columns of the dense hidden features.
  Tensor Through(const TrialBlock& trial) const {
    if (!SameAttention(trial.block, block_)) return trial.block.Forward(x_);
    if (trial.kept_channels.empty() || !hidden_.defined()) return trial.block.ForwardMlp(mid_);
    const Tensor kept = at::tensor(trial.kept_channels, kI64).to(hidden_.device());
    return trial.block.mlp.down.Forward(hidden_.index_select(-1, kept)).add_(mid_);
  }
  Tensor Through() const {
    if (!hidden_.defined()) return block_.ForwardMlp(mid_);
    return block_.mlp.down.Forward(hidden_).add_(mid_);
  }

 private:
  const Block& block_;
  Tensor x_, mid_, hidden_;
};

class CurveMeter {
 public:
  // statistics: that trials are fitted to; texts: on which predictions are compared.
  CurveMeter(StatisticsStore& statistics, const CalibrationSet& texts, const ModuleTrials& trials,
             const CurveOptions& options)
      : statistics_(statistics),
        model_(statistics.model()),
        trials_(trials),
        options_(options),
        tokens_(Windows(texts, options)),
        stream_(model_.LoadEmbedding(), tokens_, model_.device()),
        states_(options.state_bytes) {}

  // seen: is shown the statistics of each layer; may be empty.
  std::vector<ModuleCurve> Measure(
      const std::function<void(int64_t layer, const BlockStatistics& statistics)>& seen) {
    Progress progress("measuring curves", model_.config().num_layers(), "layers");
    statistics_.ForEachLayer(
        trials_.TrialRequests(model_.config()), [&](int64_t l, const BlockStatistics& statistics) {
          const InferenceScope inference;
          if (seen) seen(l, statistics);
          const Block dense = statistics_.LoadBlock(l);
          states_.Advance(dense);
          StartTrials(
              {.model = model_.config(), .dense = dense, .statistics = statistics, .layer = l});
          progress.Advance();
        });
    Compare();
    return std::move(curves_);
  }

 private:
  // One point of a curve.
  struct Point {
    size_t curve = 0, place = 0;
  };

  uint64_t BytesOfATrial() const {
    return static_cast<uint64_t>(tokens_.tokens() * model_.config().hidden_size) *
           at::elementSize(model_.dtype());
  }

  // Begins the curves of a layer, puts the streams of their trials behind it, and the dense one.
  void StartTrials(const TrialInput& input) {
    std::vector<DenseBatch> batches;
    stream_.Visit([&](const Tensor& x) { batches.emplace_back(input.dense, x); });
    for (const ModuleGroup& group : trials_.ModuleGroups()) {
      curves_.push_back({.layer = input.layer, .group = group, .removed = {0}, .divergence = {0}});
      ModuleCurve& curve = curves_.back();
      const auto whole = static_cast<double>(WeightsOf(input.dense, input.model, group));
      trials_.CompressAlone(input, group, options_.levels, [&](const TrialBlock& trial) {
        const auto left = static_cast<double>(WeightsOf(trial.block, input.model, group));
        const double removed = 1 - left / whole;
        if (!(removed > curve.removed.back())) return;  // rounded to the same width
        points_.push_back({.curve = curves_.size() - 1, .place = curve.removed.size()});
        curve.removed.push_back(removed);
        curve.divergence.push_back(0);
        Start(batches, trial);
      });
    }
    PutGroup();
    for (int64_t b = 0; b < stream_.batches(); ++b) {
      stream_.Put(b, batches[static_cast<size_t>(b)].Through());
    }
  }

  // The present trial is the last of points_.
  void Start(const std::vector<DenseBatch>& batches, const TrialBlock& trial) {
    started_.resize(batches.size());
    for (size_t b = 0; b < batches.size(); ++b) {
      CheckInterrupt();
      started_[b].push_back(batches[b].Through(trial));
    }
    starting_.push_back(static_cast<int64_t>(points_.size()) - 1);
    if (starting_.size() * BytesOfATrial() >= options_.group_bytes) PutGroup();
  }

  void PutGroup() {
    if (starting_.empty()) return;
    std::vector<Tensor> states;
    for (std::vector<Tensor>& pieces : started_) {
      states.push_back(at::cat(pieces));
      pieces.clear();
    }
    states_.Add(std::move(starting_), std::move(states));
    starting_.clear();
  }

  // All streams are at the top: the predictions of the trials against those of the dense model.
  void Compare() {
    const Head head =
        model_.config().tied_head ? LoadHeadFor(model_, model_.LoadEmbedding()) : model_.LoadHead();
    Progress progress("comparing predictions", static_cast<int64_t>(states_.groups()), "groups");
    states_.TakeAll([&](const TrialGroup& group) {
      for (size_t b = 0; b < group.states.size(); ++b) {
        CheckInterrupt();
        const Tensor dense = stream_.batch(static_cast<int64_t>(b)).flatten(0, 1);
        const std::vector<Tensor> compressed = group.states[b].flatten(0, 1).split(dense.size(0));
        const std::vector<double> sums = SumDivergences(head, dense, compressed);
        for (size_t i = 0; i < sums.size(); ++i) {
          const Point& point = points_[static_cast<size_t>(group.trials[i])];
          curves_[point.curve].divergence[point.place] +=
              sums[i] / static_cast<double>(tokens_.tokens());
        }
      }
      progress.Advance();
    });
    for (const ModuleCurve& curve : curves_) {
      for (size_t i = 0; i < curve.divergence.size(); ++i) {
        if (std::isfinite(curve.divergence[i])) continue;
        throw MakeError<NumericError>(
            "layer {}, {}: with {:.4f} of it removed the model predicts values that are not finite",
            curve.layer, curve.group.name, curve.removed[i]);
      }
    }
  }

  StatisticsStore& statistics_;
  const ModelSource& model_;
  const ModuleTrials& trials_;
  const CurveOptions& options_;
  TokenBatches tokens_;
  ActivationStream stream_;  // of the dense model
  TrialStates states_;
  std::vector<ModuleCurve> curves_;
  std::vector<Point> points_;
  // Trials of the present layer that wait to become a group, and their states by batch.
  std::vector<int64_t> starting_;
  std::vector<std::vector<Tensor>> started_;
};

// Sequences ceil(k N / n) - 1 for k = 1 ... n: if n is a multiple of n', the n' sequences that a
// statistic looks at (ScoreSample) are the same in the part as in the whole.
CalibrationSet PartOf(const CalibrationSet& all, int64_t sequences) {
  CalibrationSet part;
  part.id = fmt::format("{}, {} sequences of it", all.id, sequences);
  const ScoreSample sample{.sequences = sequences,
                           .of = static_cast<int64_t>(all.sequences.size())};
  for (int64_t i = 0; i < sample.of; ++i) {
    if (sample.Visits(i)) part.sequences.push_back(all.sequences[static_cast<size_t>(i)]);
  }
  for (const auto& sequence : part.sequences) part.tokens += static_cast<int64_t>(sequence.size());
  part.hash = CalibrationHash(part.sequences);
  return part;
}

// Those statistics of a part that are the same for the whole set.
BlockStatistics OfTheWholeSet(const BlockStatistics& of_part, const CalibrationSet& all,
                              int64_t sequences) {
  BlockStatistics same;
  // Batches come in the order of length.
  const bool in_order = std::all_of(
      all.sequences.begin(), all.sequences.end(),
      [&](const auto& sequence) { return sequence.size() == all.sequences.front().size(); });
  if (!in_order) return same;
  for (const auto& [request, value] : of_part.values()) {
    if (request.sequences > 0 && sequences % request.sequences == 0) same.Set(request, value);
  }
  return same;
}

}  // namespace

std::vector<ModuleCurve> MeasureCurves(StatisticsStore& statistics, const ModuleTrials& trials,
                                       const CurveOptions& options) {
  const InferenceScope inference;
  const CalibrationSet& all = statistics.calibration();
  const auto count = static_cast<int64_t>(all.sequences.size());
  if (options.fitted_sequences == 0 || options.fitted_sequences >= count) {
    return CurveMeter(statistics, all, trials, options).Measure({});
  }
  const CalibrationSet part = PartOf(all, options.fitted_sequences);
  StatisticsStore fitted(statistics.model(), part,
                         {.folder = statistics.options().folder,
                          .scratch = {},
                          .memory_bytes = 0,
                          .gram_math = statistics.gram_math()});
  fitted.set_clock(statistics.clock());
  return CurveMeter(fitted, all, trials, options)
      .Measure([&](int64_t l, const BlockStatistics& made) {
        statistics.Adopt(l, OfTheWholeSet(made, all, options.fitted_sequences));
      });
}

}  // namespace condense
