// ShortGPT (Men et al., arXiv 2403.03853; methods.md 5.1): removes the blocks of least block
// influence, measured once on the dense model. Nothing is refitted.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "compression/compressor.h"
#include "config/registry.h"

namespace condense {

enum class DepthRounding { kRound, kFloor, kCeil };
template <>
struct EnumNames<DepthRounding> {
  static constexpr std::array names{std::pair{DepthRounding::kRound, "round"},
                                    std::pair{DepthRounding::kFloor, "floor"},
                                    std::pair{DepthRounding::kCeil, "ceil"}};
};

namespace {

class ShortGpt final : public Compressor {
 public:
  struct Params {
    DepthRounding rounding = DepthRounding::kRound;
    template <class V>
    void Fields(V&& field) {
      field("rounding", rounding, "how ratio x layers becomes a number of blocks");
    }
  };
  explicit ShortGpt(Params params) : params_(params) {}

  MatchRule match_rule() const override { return MatchRule::kNearest; }

  Plan MakePlan(const PlanContext& context, double nominal) const override {
    ModelConfig config = context.dense().Derived();
    const std::vector<int64_t> kept =
        Kept(context.influence(), Removed(nominal, config.num_layers()));
    std::vector<LayerConfig> layers;
    for (const int64_t l : kept) layers.push_back(config.layers[static_cast<size_t>(l)]);
    config.layers = std::move(layers);
    return {std::move(config), {}};
  }

  void Compress(CompressionJob& job) const override {
    job.report().influence = job.statistics().known_influence();
    const ModelSource& dense = job.dense();
    const Embedding embedding = dense.LoadEmbedding();
    job.sink().PutEmbedding(embedding);
    int64_t position = 0;
    for (const LayerConfig& layer : job.config().layers) {
      job.sink().PutBlock(position++, dense.LoadBlock(layer.source));
      job.report().layers.push_back({.layer = layer.source, .modules = {}});
    }
    job.sink().PutHead(LoadHeadFor(dense, embedding));
  }

 private:
  int64_t Removed(double nominal, int64_t layers) const {
    const double exact = nominal * static_cast<double>(layers);
    double count = 0;
    switch (params_.rounding) {
      case DepthRounding::kRound:
        count = std::floor(exact + 0.5);
        break;
      case DepthRounding::kFloor:
        count = std::floor(exact + 1e-9);
        break;
      case DepthRounding::kCeil:
        count = std::ceil(exact - 1e-9);
        break;
    }
    return std::min(static_cast<int64_t>(count), layers - 1);
  }

  // All layers but the `removed` of least influence, in order; ties: the lower index goes first.
  static std::vector<int64_t> Kept(const std::vector<double>& influence, int64_t removed) {
    std::vector<int64_t> order(influence.size());
    std::iota(order.begin(), order.end(), int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return influence[static_cast<size_t>(a)] < influence[static_cast<size_t>(b)];
    });
    std::vector<int64_t> kept(order.begin() + removed, order.end());
    std::sort(kept.begin(), kept.end());
    return kept;
  }

  Params params_;
};

CONDENSE_REGISTER(Compressor, ShortGpt, "shortgpt", 1,
                  "removes the blocks that change the residual stream least (Men et al. 2024)");

}  // namespace
}  // namespace condense
