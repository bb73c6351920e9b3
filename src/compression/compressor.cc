#include "compression/compressor.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/system.h"

namespace condense {

AllocationRequest PlanContext::RequestOf(double removed) const {
  CONDENSE_CHECK(allocator_ != nullptr, "this method was given no allocator");
  return {.dense = dense(), .target = removed, .statistics = scores_, .trials = trials_};
}

Allocation PlanContext::Allocate(double removed) const {
  const AllocationRequest request = RequestOf(removed);
  return allocator_->Allocate(request);
}

std::vector<ModuleCurve> PlanContext::Curves() const {
  const AllocationRequest request = RequestOf(0);
  return allocator_->Curves(request);
}

Random MakeLayerRandom(uint64_t seed, const std::string& purpose, int64_t layer) {
  return Random(seed, fmt::format("{}/layer {}", purpose, layer));
}

CompressionJob::CompressionJob(StatisticsStore& statistics, ModelSink& sink, ModelConfig plan,
                               uint64_t seed)
    : statistics_(statistics), sink_(sink), config_(std::move(plan)), seed_(seed) {}

Random CompressionJob::MakeRandom(const std::string& purpose, int64_t layer) const {
  return layer < 0 ? Random(seed_, purpose) : MakeLayerRandom(seed_, purpose, layer);
}

void RequireTokensFor(int64_t channels, const StatisticsStore& statistics) {
  const int64_t tokens = statistics.tokens().tokens();
  if (tokens >= channels) return;
  throw MakeError<ConfigError>(
      "calibration set '{}' has {} tokens, but at least {} channels are to be kept in one layer; "
      "take more or longer samples",
      statistics.calibration().id, tokens, channels);
}

namespace {

void RequireEnoughTokens(const ModelConfig& plan, const StatisticsStore& statistics) {
  const int64_t tokens = statistics.tokens().tokens();
  int64_t widest = 0;
  for (const LayerConfig& layer : plan.layers) widest = std::max(widest, layer.mlp_width);
  RequireTokensFor(widest, statistics);
  if (tokens < plan.intermediate_size) {
    LogWarning(
        "calibration set '{}' has {} tokens for {} MLP channels: their statistics have rank {} at "
        "most",
        statistics.calibration().id, tokens, plan.intermediate_size, tokens);
  }
}

}  // namespace

void CompressionJob::ForEachBlock(const BlockLoop& loop,
                                  const std::function<void(BlockTask&)>& fn) {
  CONDENSE_CHECK(!loop.paired || loop.refresh != Refresh::kNone,
                 "paired streams need a refresh, which follows the compressed model");
  if (!loop.requests.empty() || loop.paired) RequireEnoughTokens(config_, statistics_);
  const ModelSource& model = dense();
  const ModelConfig& dense_config = model.config();
  const Embedding embedding = model.LoadEmbedding();
  sink_.PutEmbedding(embedding);

  std::optional<ActivationStream> stream, dense_stream;
  if (loop.refresh != Refresh::kNone)
    stream.emplace(embedding, statistics_.tokens(), model.device());
  if (loop.paired) dense_stream.emplace(embedding, statistics_.tokens(), model.device());

  const auto collect = [&](const Block& block, int64_t l, const StatRequests& requests) {
    const PhaseClock::Scope phase(statistics_.clock(), "statistics");
    StatisticsCollector collector(requests, ShapeOf(block));
    stream->Visit([&](const Tensor& x) { block.Forward(x, {.taps = &collector}); });
    return collector.Finish(fmt::format("layer {}", l));
  };

  const auto visit_paired = [&](const std::function<void(const Tensor&, const Tensor&)>& visit) {
    CONDENSE_CHECK(dense_stream.has_value(), "the loop was not asked for paired streams");
    const PhaseClock::Scope phase(statistics_.clock(), "statistics");
    for (int64_t i = 0; i < stream->batches(); ++i) visit(dense_stream->batch(i), stream->batch(i));
  };

  const auto transform_paired = [&](const BlockTask::PairedTransform& transform) {
    CONDENSE_CHECK(dense_stream.has_value(), "the loop was not asked for paired streams");
    const PhaseClock::Scope phase(statistics_.clock(), "statistics");
    for (int64_t i = 0; i < stream->batches(); ++i) {
      CheckInterrupt();
      auto [dense_output, output] = transform(dense_stream->batch(i), stream->batch(i));
      dense_stream->Put(i, dense_output);
      stream->Put(i, output);
    }
  };

  Progress progress("compressing", dense_config.num_layers(), "layers");
  const auto compress = [&](int64_t l, const Block& dense_block, const BlockStatistics* stats,
                            const BlockStatistics* dense_stats) {
    LayerReport layer_report{.layer = l, .modules = {}};
    BlockTask task;
    task.layer = l;
    task.dense = &dense_block;
    task.block = dense_block;
    task.plan = config_.layers[static_cast<size_t>(l)];
    task.stats = stats;
    task.dense_stats = dense_stats;
    task.report = &layer_report;
    task.collect_ = [&](const StatRequests& requests) {
      CONDENSE_CHECK(stream.has_value(),
                     "collecting again needs a refresh, which follows the compressed model");
      return collect(task.block, l, requests);
    };
    task.visit_paired_ = visit_paired;
    task.transform_paired_ = transform_paired;
    fn(task);
    config_.layers[static_cast<size_t>(l)].heads = task.block.attention.heads;
    report_.layers.push_back(std::move(layer_report));
    if (!task.carried_) {
      const PhaseClock::Scope phase(statistics_.clock(), "statistics");
      if (stream) stream->Transform([&](const Tensor& x) { return task.block.Forward(x); });
      if (dense_stream) {
        dense_stream->Transform([&](const Tensor& x) { return dense_block.Forward(x); });
      }
    }
    sink_.PutBlock(l, std::move(task.block));
    progress.Advance();
  };

  const bool follows = loop.refresh != Refresh::kNone;
  StatRequests dense_requests = loop.dense_requests;
  if (!follows) dense_requests.insert(loop.requests.begin(), loop.requests.end());
  const auto visit = [&](int64_t l, const BlockStatistics* dense_stats) {
    const Block dense_block = model.LoadBlock(l);
    std::optional<BlockStatistics> present;
    if (follows && !loop.requests.empty()) present = collect(dense_block, l, loop.requests);
    compress(l, dense_block, follows ? (present ? &*present : nullptr) : dense_stats, dense_stats);
  };
  if (!follows || !dense_requests.empty()) {
    statistics_.ForEachLayer(dense_requests, [&](int64_t l, const BlockStatistics& dense_stats) {
      visit(l, &dense_stats);
    });
  } else {
    for (int64_t l = 0; l < dense_config.num_layers(); ++l) {
      CheckInterrupt();
      visit(l, nullptr);
    }
  }

  Head head = LoadHeadFor(model, embedding);
  if (loop.refit_head) loop.refit_head(visit_paired, head);
  sink_.PutHead(head);
}

}  // namespace condense
