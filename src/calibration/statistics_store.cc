#include "calibration/statistics_store.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "base/sha256.h"
#include "base/system.h"
#include "checkpoint/checkpoint_writer.h"
#include "model/stored/check.h"

namespace condense {
namespace {

uint64_t BytesOf(const BlockStatistics& statistics) {
  uint64_t bytes = 0;
  for (const auto& [request, value] : statistics.values()) bytes += value.nbytes();
  return bytes;
}

}  // namespace

StatisticsStore::StatisticsStore(const ModelSource& model, const CalibrationSet& calibration,
                                 Options options)
    : model_(model),
      calibration_(calibration),
      options_(std::move(options)),
      tokens_(calibration.sequences) {
  const ModelConfig& config = model.config();
  for (const auto& sequence : calibration.sequences) {
    const auto length = static_cast<int64_t>(sequence.size());
    if (length > config.LongestText()) {
      throw MakeError<ConfigError>(
          "calibration set '{}' has sequences of {} tokens, the model has {} positions; use a "
          "shorter length",
          calibration.id, length, config.LongestText());
    }
    // Statistics of attention scores, and what is fitted to them, know no window.
    for (const LayerConfig& layer : config.layers) {
      if (layer.window == 0 || length <= layer.window) continue;
      throw MakeError<ConfigError>(
          "calibration set '{}' has sequences of {} tokens, longer than the sliding window of {} "
          "tokens in layer {}; use a shorter length",
          calibration.id, length, layer.window, layer.source);
    }
    RequireKnownIds(config, sequence, fmt::format("calibration set '{}'", calibration.id));
  }
  if (tokens_.tokens() == 0) {
    throw MakeError<ConfigError>("calibration set '{}' holds no tokens", calibration.id);
  }
  if (options_.folder) {
    *options_.folder /=
        Sha256Hex(model.digest() + calibration.hash + DTypeName(model.dtype())).substr(0, 32);
  }
}

std::filesystem::path StatisticsStore::FileOf(int64_t layer, const StatRequest& request) const {
  return *options_.folder / fmt::format("layer-{:03d}.{}.safetensors", layer, request.Name());
}

bool StatisticsStore::Find(int64_t layer, const StatRequest& request, BlockStatistics& into) {
  const auto kept = kept_.find(layer);
  if (kept != kept_.end() && kept->second.Has(request)) {
    into.Set(request, kept->second.Get(request));
  } else if (options_.folder && std::filesystem::exists(FileOf(layer, request))) {
    into.Set(request, ReadTensors(FileOf(layer, request)).at("value"));
  } else {
    return false;
  }
  into.tokens = tokens_.tokens();
  into.sequences = tokens_.sequences();
  return true;
}

void StatisticsStore::Keep(int64_t layer, const BlockStatistics& statistics) {
  if (options_.folder) {
    MakeFolder(*options_.folder);
    for (const auto& [request, value] : statistics.values()) {
      WriteTensors(FileOf(layer, request), {{"value", value}});
    }
  }
  const uint64_t bytes = BytesOf(statistics);
  if (kept_bytes_ + bytes > options_.memory_bytes) return;
  kept_bytes_ += bytes;
  kept_[layer].MergeFrom(statistics);
}

void StatisticsStore::ForEachLayer(
    const StatRequests& requests,
    const std::function<void(int64_t layer, const BlockStatistics& statistics)>& fn) {
  const int64_t layers = model_.config().num_layers();
  // A request that is missing in one layer is computed again in all: one pass serves them all.
  StatRequests missing;
  for (const StatRequest& request : requests) {
    for (int64_t l = 0; l < layers; ++l) {
      const auto kept = kept_.find(l);
      const bool here = (kept != kept_.end() && kept->second.Has(request)) ||
                        (options_.folder && std::filesystem::exists(FileOf(l, request)));
      if (!here) missing.insert(request);
    }
  }
  std::optional<ActivationStream> stream;
  if (!missing.empty()) stream.emplace(model_.LoadEmbedding(), tokens_, model_.device());
  for (int64_t l = 0; l < layers; ++l) {
    CheckInterrupt();
    BlockStatistics statistics;
    if (stream) {
      const InferenceScope inference;  // fn may record gradients, statistics never do
      const PhaseClock::Scope phase(clock_, "statistics");
      const Stopwatch watch;
      Progress progress(fmt::format("statistics of layer {}/{}", l + 1, layers), stream->batches(),
                        "batches");
      const Block block = model_.LoadBlock(l);
      StatisticsCollector collector(missing, model_.config().layers[static_cast<size_t>(l)]);
      const BlockContext context{.taps = &collector};
      stream->Transform([&](const Tensor& x) {
        progress.Advance();
        return block.Forward(x, context);
      });
      statistics = collector.Finish(fmt::format("layer {}", l));
      seconds_ += watch.Seconds();
      Keep(l, statistics);
    }
    for (const StatRequest& request : requests) {
      if (statistics.Has(request)) continue;
      CONDENSE_CHECK(Find(l, request, statistics), "statistic {} of layer {}", request.Name(), l);
    }
    fn(l, statistics);
  }
}

const StatisticsStore::Tensors& StatisticsStore::DerivedTensors(
    const std::string& key, const std::function<Tensors()>& make) {
  return Derived<Tensors>(key, [&] {
    if (!options_.folder) return make();
    const std::filesystem::path file =
        *options_.folder / fmt::format("derived-{}.safetensors", Sha256Hex(key).substr(0, 32));
    if (std::filesystem::exists(file)) return ReadTensors(file);
    Tensors made = make();
    MakeFolder(*options_.folder);
    WriteTensors(file, made, {{"key", key}});
    return made;
  });
}

const std::vector<double>& StatisticsStore::Influence() {
  if (influence_.empty()) {
    ForEachLayer({BlockInfluence()}, [&](int64_t, const BlockStatistics& statistics) {
      influence_.push_back(statistics.Get(BlockInfluence()).item<double>());
    });
  }
  return influence_;
}

}  // namespace condense
