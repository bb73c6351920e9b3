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

// Of a finished statistic of a layer.
uint64_t BytesOf(const StatRequest& request, const ModelConfig& config, const LayerConfig& layer) {
  const int64_t rows = TapWidth(request.tap, layer);
  const int64_t head = config.head_dim;
  int64_t numbers = 1;
  switch (request.kind) {
    case StatKind::kGram:
      numbers = rows * rows;
      break;
    case StatKind::kHeadGram:
      numbers = rows * head;
      break;
    case StatKind::kMean:
    case StatKind::kSecondMoment:
    case StatKind::kMeanAbs:
      numbers = rows;
      break;
    case StatKind::kPairMetric:
    case StatKind::kKeyCovariance:
      numbers = layer.QueryWidth() * head;
      break;
    case StatKind::kCosine:
    case StatKind::kAngle:
      break;
  }
  return static_cast<uint64_t>(numbers) * sizeof(double);
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
    const char* math = options_.gram_math == GramMath::kFloat64 ? "" : "float32 tiles";
    *options_.folder /=
        Sha256Hex(model.digest() + calibration.hash + DTypeName(model.dtype()) + math)
            .substr(0, 32);
  }
}

StatisticsStore::~StatisticsStore() {
  std::error_code ignored;
  if (options_.scratch) std::filesystem::remove_all(*options_.scratch, ignored);
}

void StatisticsStore::Announce(const StatRequests& requests) {
  announced_.insert(requests.begin(), requests.end());
}

void StatisticsStore::Withdraw(const StatRequests& requests) {
  for (const StatRequest& request : requests) announced_.erase(request);
}

std::filesystem::path StatisticsStore::FileOf(int64_t layer, const StatRequest& request) const {
  return (options_.folder ? *options_.folder : *options_.scratch) /
         fmt::format("layer-{:03d}.{}.safetensors", layer, request.Name());
}

bool StatisticsStore::OnDisk(int64_t layer, const StatRequest& request) const {
  return (options_.folder || options_.scratch) && std::filesystem::exists(FileOf(layer, request));
}

bool StatisticsStore::Has(int64_t layer, const StatRequest& request) const {
  const auto kept = kept_.find(layer);
  return (kept != kept_.end() && kept->second.Has(request)) || OnDisk(layer, request);
}

bool StatisticsStore::Find(int64_t layer, const StatRequest& request, BlockStatistics& into) {
  const auto kept = kept_.find(layer);
  if (kept != kept_.end() && kept->second.Has(request)) {
    into.Set(request, kept->second.Get(request));
  } else if (OnDisk(layer, request)) {
    into.Set(request, ReadTensors(FileOf(layer, request)).at("value"));
  } else {
    return false;
  }
  into.tokens = tokens_.tokens();
  into.sequences = tokens_.sequences();
  return true;
}

StatRequests StatisticsStore::Missing(const StatRequests& requests) const {
  StatRequests missing;
  for (const StatRequest& request : requests) {
    for (int64_t l = 0; l < model_.config().num_layers(); ++l) {
      if (!Has(l, request)) missing.insert(request);
    }
  }
  return missing;
}

StatRequests StatisticsStore::Besides() const {
  StatRequests besides = Missing(announced_);
  const ModelConfig& config = model_.config();
  uint64_t large = 0;
  for (const LayerConfig& layer : config.layers) {
    for (const StatRequest& request : besides) {
      const uint64_t bytes = BytesOf(request, config, layer);
      if (bytes > options_.small_bytes) large += bytes;
    }
  }
  // A disk that is nearly full is left alone.
  const bool there_is_room =
      options_.folder || kept_bytes_ + large <= options_.memory_bytes ||
      (options_.scratch && 2 * large <= FreeDiskBytes(options_.scratch->parent_path()));
  if (there_is_room) return besides;
  std::erase_if(besides, [&](const StatRequest& request) {
    return std::any_of(config.layers.begin(), config.layers.end(), [&](const LayerConfig& layer) {
      return BytesOf(request, config, layer) > options_.small_bytes;
    });
  });
  return besides;
}

void StatisticsStore::Keep(int64_t layer, const BlockStatistics& statistics) {
  const auto write = [&](const StatRequest& request, const Tensor& value) {
    const std::filesystem::path file = FileOf(layer, request);
    MakeFolder(file.parent_path());
    WriteTensors(file, {{"value", value}});
  };
  BlockStatistics& kept = kept_[layer];
  for (const auto& [request, value] : statistics.values()) {
    if (options_.folder) write(request, value);
    const uint64_t bytes = value.nbytes();
    if (bytes <= options_.small_bytes || kept_bytes_ + bytes <= options_.memory_bytes) {
      kept.Set(request, value);
      kept_bytes_ += bytes;
    } else if (!options_.folder && options_.scratch && announced_.count(request) > 0) {
      write(request, value);
    }
  }
}

BlockStatistics StatisticsStore::Collect(int64_t layer, const StatRequests& requests,
                                         ActivationStream& stream) {
  const InferenceScope inference;  // the caller may record gradients, statistics never do
  const PhaseClock::Scope phase(clock_, "statistics");
  const Stopwatch watch;
  Progress progress(
      fmt::format("statistics of layer {}/{}", layer + 1, model_.config().num_layers()),
      stream.batches(), "batches");
  const Block block = model_.LoadBlock(layer);
  StatisticsCollector collector(requests, model_.config().layers[static_cast<size_t>(layer)],
                                options_.gram_math, tokens_.sequences());
  const BlockContext context{.taps = &collector};
  stream.Transform([&](const Tensor& x) {
    progress.Advance();
    return block.Forward(x, context);
  });
  running_ = {layer, block};
  BlockStatistics statistics = collector.Finish(fmt::format("layer {}", layer));
  seconds_ += watch.Seconds();
  return statistics;
}

void StatisticsStore::ForEachLayer(
    const StatRequests& requests,
    const std::function<void(int64_t layer, const BlockStatistics& statistics)>& fn) {
  StatRequests missing = Missing(requests);
  std::optional<ActivationStream> stream;
  if (!missing.empty()) {
    missing.merge(Besides());
    stream.emplace(model_.LoadEmbedding(), tokens_, model_.device());
    ++passes_;
  }
  for (int64_t l = 0; l < model_.config().num_layers(); ++l) {
    CheckInterrupt();
    BlockStatistics statistics;
    if (stream) {
      statistics = Collect(l, missing, *stream);
      Keep(l, statistics);
    }
    for (const StatRequest& request : requests) {
      if (statistics.Has(request)) continue;
      CONDENSE_CHECK(Find(l, request, statistics), "statistic {} of layer {}", request.Name(), l);
    }
    fn(l, statistics);
    running_.reset();
  }
}

Block StatisticsStore::LoadBlock(int64_t layer) const {
  return running_ && running_->first == layer ? running_->second : model_.LoadBlock(layer);
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
