#include "calibration/statistics.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "calibration/score_statistics.h"
#include "kernels/row_products.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

// Heads side by side in the rows of a tap.
std::vector<int64_t> HeadWidths(const LayerConfig& layer, Tap tap) {
  std::vector<int64_t> widths;
  for (const HeadConfig& head : layer.heads) {
    const bool is_query = tap == Tap::kQuery || tap == Tap::kQueryRotated;
    const bool is_key = tap == Tap::kKey || tap == Tap::kKeyRotated;
    const bool is_mix = tap == Tap::kValueMix;
    widths.insert(widths.end(), static_cast<size_t>(is_query || is_mix ? head.queries : 1),
                  is_query || is_key ? head.qk_width : head.vo_width);
  }
  return widths;
}

}  // namespace

std::string StatRequest::Name() const {
  std::string name = fmt::format("{}.{}", TapName(tap), StatKindName(kind));
  if (query_stride != 1) name += fmt::format(".every{}", query_stride);
  if (sequences != 0) name += fmt::format(".of{}", sequences);
  return name;
}

int64_t TapWidth(Tap tap, const LayerConfig& layer) {
  switch (tap) {
    case Tap::kBlockInput:
    case Tap::kAttentionInput:
      return layer.in_width;
    case Tap::kQuery:
    case Tap::kQueryRotated:
    case Tap::kScores:
      return layer.QueryWidth();
    case Tap::kKey:
    case Tap::kKeyRotated:
      return layer.KeyWidth();
    case Tap::kValue:
      return layer.ValueWidth();
    case Tap::kValueMix:
      return layer.OutputWidth();
    case Tap::kResidualMid:
    case Tap::kMlpInput:
      return layer.mid_width;
    case Tap::kMlpHidden:
      return layer.mlp_width;
    case Tap::kBlockOutput:
      return layer.out_width;
  }
  return 0;
}

const Tensor& BlockStatistics::Get(const StatRequest& request) const {
  const auto found = values_.find(request);
  CONDENSE_CHECK(found != values_.end(), "the statistic {} was not requested", request.Name());
  return found->second;
}

void BlockStatistics::MergeFrom(const BlockStatistics& other) {
  for (const auto& [request, value] : other.values_) values_.emplace(request, value);
  tokens = std::max(tokens, other.tokens);
  sequences = std::max(sequences, other.sequences);
  skipped = std::max(skipped, other.skipped);
}

struct StatisticsCollector::State {
  StatRequests requests;
  std::set<Tap> taps, row_taps;  // row_taps: those with an accumulator
  std::map<StatRequest, std::unique_ptr<Accumulator>> accumulators;
  std::map<StatRequest, std::unique_ptr<ScoreAccumulator>> score_accumulators;
  int64_t tokens = 0, sequences = 0;
  bool counts_tap_known = false;
  Tap counting_tap = Tap::kBlockInput;
  // Block influence and angle: the block's input waits here for its output.
  bool wants_influence = false, wants_angle = false;
  Tensor block_input;
  double cosine_sum = 0, angle_sum = 0;
  int64_t cosine_count = 0, angle_count = 0, skipped = 0;

  // Counts tokens at the tap that reports first.
  void Count(Tap tap, const Tensor& activations) {
    if (!counts_tap_known) counts_tap_known = true, counting_tap = tap;
    if (tap != counting_tap) return;
    tokens += activations.size(0) * activations.size(1);
    sequences += activations.size(0);
  }

  void AddCosine(const Tensor& output) {
    const RowProducts products = ProductsOfRows(block_input.flatten(0, -2), output.flatten(0, -2));
    const Tensor norms =
        (products.left.sqrt() * products.right.sqrt()).view({output.size(0), output.size(1)});
    const Tensor valid = norms > 0;
    const Tensor cosine = products.both.view_as(norms) / norms;  // [batch, tokens]
    cosine_sum += at::where(valid, cosine, 0.0).sum().item<double>();
    const auto count = valid.sum().item<int64_t>();
    cosine_count += count;
    skipped += norms.numel() - count;
    if (wants_angle) {
      const Tensor last = valid.select(1, -1);  // [batch]
      const Tensor angle = cosine.select(1, -1).clamp(-1, 1).acos() / M_PI;
      angle_sum += at::where(last, angle, 0.0).sum().item<double>();
      angle_count += last.sum().item<int64_t>();
    }
    block_input = Tensor();
  }
};

StatisticsCollector::StatisticsCollector(StatRequests requests, const LayerConfig& layer,
                                         GramMath math, int64_t sequences)
    : state_(std::make_unique<State>()) {
  state_->requests = std::move(requests);
  for (const StatRequest& request : state_->requests) {
    state_->taps.insert(request.tap);
    if (request.kind == StatKind::kCosine || request.kind == StatKind::kAngle) {
      (request.kind == StatKind::kCosine ? state_->wants_influence : state_->wants_angle) = true;
      state_->taps.insert(Tap::kBlockInput);
      continue;
    }
    if (request.tap == Tap::kScores) {
      state_->score_accumulators[request] = MakeScoreAccumulator(
          request.kind, layer.heads,
          {.query_stride = request.query_stride, .sequences = request.sequences, .of = sequences});
      continue;
    }
    state_->row_taps.insert(request.tap);
    state_->accumulators[request] =
        MakeAccumulator(request.kind, HeadWidths(layer, request.tap), math);
  }
}

StatisticsCollector::~StatisticsCollector() = default;

bool StatisticsCollector::Wants(Tap tap) const { return state_->taps.count(tap) > 0; }

void StatisticsCollector::OnTap(Tap tap, const Tensor& activations) {
  state_->Count(tap, activations);
  const bool compares = state_->wants_influence || state_->wants_angle;
  if (compares && tap == Tap::kBlockInput) state_->block_input = activations;
  if (compares && tap == Tap::kBlockOutput) state_->AddCosine(activations);
  if (state_->row_taps.count(tap) == 0) return;
  const ActivationRows rows(activations.flatten(0, -2));
  for (auto& [request, accumulator] : state_->accumulators) {
    if (request.tap == tap) accumulator->Add(rows);
  }
}

void StatisticsCollector::OnScores(const Tensor& queries, const Tensor& keys, double scale) {
  state_->Count(Tap::kScores, queries);
  for (auto& [request, accumulator] : state_->score_accumulators) {
    accumulator->Add(queries, keys, scale);
  }
}

BlockStatistics StatisticsCollector::Finish(const std::string& where) {
  BlockStatistics statistics;
  const auto set = [&](const StatRequest& request, Tensor value) {
    RequireFinite(value, fmt::format("{}, statistic {}", where, request.Name()));
    statistics.Set(request, std::move(value));
  };
  statistics.tokens = state_->tokens;
  statistics.sequences = state_->sequences;
  statistics.skipped = state_->skipped;
  for (const auto& [request, accumulator] : state_->accumulators) {
    set(request, accumulator->Finish(state_->tokens));
  }
  for (const auto& [request, accumulator] : state_->score_accumulators) {
    set(request, accumulator->Finish());
  }
  if (state_->wants_influence) {
    const double mean = state_->cosine_count == 0 ? 1 : state_->cosine_sum / state_->cosine_count;
    const Tensor influence = at::scalar_tensor(1 - mean, kF64);
    RequireFinite(influence, fmt::format("{}, block influence", where));
    statistics.Set(BlockInfluence(), influence);
  }
  if (state_->wants_angle) {
    const double mean = state_->angle_count == 0 ? 0 : state_->angle_sum / state_->angle_count;
    const Tensor angle = at::scalar_tensor(mean, kF64);
    RequireFinite(angle, fmt::format("{}, angle of the block", where));
    statistics.Set(BlockAngle(), angle);
  }
  return statistics;
}

}  // namespace condense
