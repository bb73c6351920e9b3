#include "compression/bases/depth.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace condense {
namespace {

int64_t Rounded(double exact, DepthRounding rounding) {
  switch (rounding) {
    case DepthRounding::kRound:
      return static_cast<int64_t>(std::floor(exact + 0.5));
    case DepthRounding::kFloor:
      return static_cast<int64_t>(std::floor(exact + 1e-9));
    case DepthRounding::kCeil:
      return static_cast<int64_t>(std::ceil(exact - 1e-9));
  }
  return 0;
}

}  // namespace

Plan DepthMethod::MakePlan(const PlanContext& context, double nominal) const {
  ModelConfig config = context.dense().Derived();
  const int64_t layers = config.num_layers();
  const int64_t count = std::min(Rounded(nominal * static_cast<double>(layers), options_.rounding),
                                 std::max<int64_t>(0, MostRemoved(layers)));
  std::vector<int64_t> removed;
  if (count > 0) removed = Removed(context, count);
  CONDENSE_CHECK(static_cast<int64_t>(removed.size()) == count, "{} blocks chosen, {} asked for",
                 removed.size(), count);
  std::vector<LayerConfig> kept;
  for (const LayerConfig& layer : config.layers) {
    if (std::find(removed.begin(), removed.end(), layer.source) == removed.end()) {
      kept.push_back(layer);
    }
  }
  config.layers = std::move(kept);
  return {std::move(config), {}};
}

void DepthMethod::Compress(CompressionJob& job) const {
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

}  // namespace condense
