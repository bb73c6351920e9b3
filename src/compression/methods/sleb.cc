// SLEB (Song et al., arXiv 2402.09025; methods.md 5.2): removes blocks one after the other, each
// time the one without which the model predicts the calibration set best. The first and the last
// block that are left always stay. Nothing is refitted.
//
// A step tries every candidate: about half of the blocks above it run again, from the residual
// stream in front of it (cache_prefix). The order of removal is nested, so it is kept with the
// statistics and extended when more is asked for.
#include <algorithm>
#include <limits>
#include <numeric>
#include <span>

#include "base/error.h"
#include "base/progress.h"
#include "base/system.h"
#include "compression/bases/depth.h"
#include "model/activation_stream.h"
#include "model/loss.h"

namespace condense {
namespace {

// Mean losses of a model without some of its blocks, over the sequences of a calibration set.
class TrialLosses {
 public:
  TrialLosses(const ModelSource& model, const std::vector<Tensor>& ids, bool cache_prefix)
      : model_(model),
        ids_(ids),
        cache_prefix_(cache_prefix),
        embedding_(model.LoadEmbedding()),
        head_(LoadHeadFor(model, embedding_)) {}

  // For each position of `alive` between `begin` and `end`: the loss when its block is left out.
  std::vector<double> Without(const std::vector<int64_t>& alive, size_t begin, size_t end) const {
    std::vector<double> losses(end - begin, 0);
    // A resident model takes batch after batch; one that is loaded block by block takes all at
    // once.
    const size_t group = model_.resident() ? 1 : ids_.size();
    for (size_t first = 0; first < ids_.size(); first += group) {
      CheckInterrupt();
      AddLosses(std::span(ids_).subspan(first, std::min(group, ids_.size() - first)), alive, begin,
                losses);
    }
    for (double& loss : losses) loss /= static_cast<double>(targets());
    return losses;
  }

  int64_t targets() const {
    int64_t count = 0;
    for (const Tensor& ids : ids_) count += ids.size(0) * (ids.size(1) - 1);
    return count;
  }

 private:
  void AddLosses(std::span<const Tensor> ids, const std::vector<int64_t>& alive, size_t begin,
                 std::vector<double>& losses) const {
    const std::span<const int64_t> blocks(alive);
    ActivationStream prefix(embedding_, ids, model_.device(),
                            model_.resident() ? StreamPlace::kDevice : StreamPlace::kHost);
    if (cache_prefix_) prefix.Advance(model_, blocks.first(begin));
    for (size_t i = 0; i < losses.size(); ++i) {
      ActivationStream trial = prefix;
      if (!cache_prefix_) trial.Advance(model_, blocks.first(begin + i));
      trial.Advance(model_, blocks.subspan(begin + i + 1));
      for (size_t b = 0; b < ids.size(); ++b) {
        const Tensor hidden = trial.batch(static_cast<int64_t>(b));
        losses[i] += NextTokenNll(head_, hidden, ids[b].to(model_.device())).sum().item<double>();
      }
      if (cache_prefix_) prefix.Advance(model_, blocks.subspan(begin + i, 1));
    }
  }

  const ModelSource& model_;
  const std::vector<Tensor>& ids_;
  bool cache_prefix_;
  Embedding embedding_;
  Head head_;
};

class Sleb final : public DepthMethod {
 public:
  struct Params : DepthOptions {
    bool cache_prefix = true;
    int64_t barrier = 1;
    std::optional<int64_t> sequences;
    template <class V>
    void Fields(V&& field) {
      DepthOptions::Fields(field);
      field("cache_prefix", cache_prefix,
            "run only what follows the block that is left out; the same result at half the work");
      field("barrier", barrier, "blocks at either end that always stay", Range::AtLeast(0));
      field("sequences", sequences, "the first sequences of the calibration set only",
            Range::AtLeast(1));
    }
  };
  explicit Sleb(const Params& params) : DepthMethod(params), params_(params) {}

 protected:
  int64_t MostRemoved(int64_t layers) const override {
    return layers - std::max<int64_t>(1, 2 * params_.barrier);
  }

  std::vector<int64_t> Removed(const PlanContext& context, int64_t count) const override {
    StatisticsStore& statistics = context.statistics();
    auto& order = statistics.Derived<std::vector<int64_t>>(
        fmt::format("sleb {} {}", params_.barrier, params_.sequences.value_or(0)),
        [] { return std::vector<int64_t>(); });
    if (static_cast<int64_t>(order.size()) < count) Extend(statistics, count, order);
    return {order.begin(), order.begin() + count};
  }

 private:
  // Batches of the sequences that have something to predict.
  std::vector<Tensor> Batches(const StatisticsStore& statistics) const {
    std::vector<std::vector<int32_t>> sequences = statistics.calibration().sequences;
    if (params_.sequences && *params_.sequences < static_cast<int64_t>(sequences.size())) {
      sequences.resize(static_cast<size_t>(*params_.sequences));
    }
    std::erase_if(sequences, [](const auto& sequence) { return sequence.size() < 2; });
    if (sequences.empty()) {
      throw MakeError<ConfigError>(
          "calibration set '{}' has no sequence of two tokens or more, and SLEB needs something to "
          "predict",
          statistics.calibration().id);
    }
    return TokenBatches(sequences).ids();
  }

  void Extend(const StatisticsStore& statistics, int64_t count, std::vector<int64_t>& order) const {
    const std::vector<Tensor> ids = Batches(statistics);
    const TrialLosses trials(statistics.model(), ids, params_.cache_prefix);
    std::vector<int64_t> alive;
    for (int64_t l = 0; l < statistics.model().config().num_layers(); ++l) {
      if (std::find(order.begin(), order.end(), l) == order.end()) alive.push_back(l);
    }
    Progress progress("choosing blocks", count - static_cast<int64_t>(order.size()), "blocks");
    const auto barrier = static_cast<size_t>(params_.barrier);
    while (static_cast<int64_t>(order.size()) < count) {
      const std::vector<double> losses = trials.Without(alive, barrier, alive.size() - barrier);
      const auto best = std::min_element(losses.begin(), losses.end());  // ties: the lower index
      const auto position =
          alive.begin() + static_cast<std::ptrdiff_t>(barrier) + (best - losses.begin());
      order.push_back(*position);
      alive.erase(position);
      progress.Advance();
    }
  }

  Params params_;
};

CONDENSE_REGISTER(
    Compressor, Sleb, "sleb", 1,
    "removes the blocks that are missed least, one after the other (Song et al. 2024)");

}  // namespace
}  // namespace condense
