#include "compression/compressor.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"

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

void CompressionJob::RequireEnoughTokens() {
  if (std::exchange(tokens_checked_, true)) return;
  const int64_t tokens = statistics_.tokens().tokens();
  int64_t widest = 0;
  for (const LayerConfig& layer : config_.layers) widest = std::max(widest, layer.mlp_width);
  RequireTokensFor(widest, statistics_);
  if (tokens < config_.intermediate_size) {
    LogWarning(
        "calibration set '{}' has {} tokens for {} MLP channels: their statistics have rank {} at "
        "most",
        statistics_.calibration().id, tokens, config_.intermediate_size, tokens);
  }
}

StreamPair CompressionJob::MakeStreams() {
  RequireEnoughTokens();
  return StreamPair(statistics_);
}

BlockStatistics BlockTask::Collect(const StatRequests& requests) const {
  CONDENSE_CHECK(stream != nullptr, "statistics of a changed block need a loop that refreshes");
  return stream->Collect(block, requests, fmt::format("layer {}", layer));
}

void CompressionJob::ForEachBlock(const BlockLoop& loop,
                                  const std::function<void(BlockTask&)>& fn) {
  if (!loop.requests.empty()) RequireEnoughTokens();
  const bool refreshes = loop.refresh != Refresh::kNone;
  const Embedding embedding = dense().LoadEmbedding();
  sink_.PutEmbedding(embedding);
  std::optional<CompressedStream> stream;
  if (refreshes) stream.emplace(statistics_, embedding);
  Progress progress("compressing", dense().config().num_layers(), "layers");
  const auto compress = [&](int64_t l, const BlockStatistics& dense_stats) {
    const Block dense_block = statistics_.LoadBlock(l);
    LayerConfig& plan = config_.layers[static_cast<size_t>(l)];
    LayerReport report{.layer = l, .modules = {}};
    BlockTask task{.layer = l,
                   .dense = &dense_block,
                   .block = dense_block,
                   .plan = plan,
                   .stats = &dense_stats,
                   .report = &report,
                   .stream = stream ? &*stream : nullptr};
    BlockStatistics present;
    if (refreshes) {
      if (!loop.requests.empty()) present = task.Collect(loop.requests);
      task.stats = &present;
    }
    fn(task);
    plan.heads = task.block.attention.heads;
    report_.layers.push_back(std::move(report));
    if (stream) stream->Advance(task.block);
    sink_.PutBlock(l, std::move(task.block));
    progress.Advance();
  };
  statistics_.Withdraw(loop.requests);
  statistics_.ForEachLayer(refreshes ? StatRequests() : loop.requests, compress);

  Head head = LoadHeadFor(dense(), embedding);
  if (loop.change_head) loop.change_head(head);
  sink_.PutHead(head);
}

}  // namespace condense
