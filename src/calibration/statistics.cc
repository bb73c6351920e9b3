#include "calibration/statistics.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "calibration/score_statistics.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

// Gram matrices are summed panel by panel and only in the upper triangle, at little more than half
// the work. Wide panels keep the product efficient; narrow ones compute less below the diagonal.
int64_t PanelWidth(int64_t p) { return std::clamp<int64_t>(p / 8, 64, 512); }

class GramAccumulator final : public Accumulator {
 public:
  void Add(const Tensor& rows) override {
    const int64_t p = rows.size(1), panel = PanelWidth(p);
    if (!sum_.defined()) sum_ = at::zeros({p, p}, rows.options());
    for (int64_t begin = 0; begin < p; begin += panel) {
      const int64_t width = std::min(panel, p - begin);
      sum_.narrow(0, begin, width)
          .narrow(1, begin, p - begin)
          .addmm_(rows.narrow(1, begin, width).t(), rows.narrow(1, begin, p - begin));
    }
  }
  void Merge(const Accumulator& other) override {
    sum_ += dynamic_cast<const GramAccumulator&>(other).sum_;
  }
  Tensor Finish(int64_t) const override {
    const Tensor upper = sum_.triu();
    return (upper + upper.triu(1).t()).cpu();
  }

 private:
  Tensor sum_;
};

class HeadGramAccumulator final : public Accumulator {
 public:
  explicit HeadGramAccumulator(int64_t heads) : heads_(heads) {}
  void Add(const Tensor& rows) override {
    const int64_t width = rows.size(1) / heads_;
    const Tensor heads = rows.view({-1, heads_, width}).transpose(0, 1);  // [heads, n, w]
    if (!sum_.defined()) sum_ = at::zeros({heads_, width, width}, rows.options());
    sum_.baddbmm_(heads.transpose(1, 2), heads);
  }
  void Merge(const Accumulator& other) override {
    sum_ += dynamic_cast<const HeadGramAccumulator&>(other).sum_;
  }
  Tensor Finish(int64_t) const override { return Symmetrised(sum_).cpu(); }

 private:
  int64_t heads_;
  Tensor sum_;
};

// Mean over tokens of a function of each entry.
template <class Function>
class MeanAccumulator final : public Accumulator {
 public:
  void Add(const Tensor& rows) override {
    const Tensor part = Function()(rows).sum(0);
    sum_ = sum_.defined() ? sum_ + part : part;
  }
  void Merge(const Accumulator& other) override {
    sum_ = sum_ + dynamic_cast<const MeanAccumulator&>(other).sum_;
  }
  Tensor Finish(int64_t tokens) const override {
    return (sum_ / static_cast<double>(tokens)).cpu();
  }

 private:
  Tensor sum_;
};

struct Identity {
  Tensor operator()(const Tensor& x) const { return x; }
};
struct Square {
  Tensor operator()(const Tensor& x) const { return x.square(); }
};
struct Absolute {
  Tensor operator()(const Tensor& x) const { return x.abs(); }
};

const char* KindName(StatKind kind) {
  switch (kind) {
    case StatKind::kGram:
      return "gram";
    case StatKind::kHeadGram:
      return "head_gram";
    case StatKind::kMean:
      return "mean";
    case StatKind::kSecondMoment:
      return "second_moment";
    case StatKind::kMeanAbs:
      return "mean_abs";
    case StatKind::kCosine:
      return "influence";
    case StatKind::kAngle:
      return "angle";
    case StatKind::kPairMetric:
      return "pair_metric";
    case StatKind::kKeyCovariance:
      return "key_covariance";
  }
  return "?";
}

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
  const std::string name = fmt::format("{}.{}", TapName(tap), KindName(kind));
  return query_stride == 1 ? name : fmt::format("{}.every{}", name, query_stride);
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

std::unique_ptr<Accumulator> MakeAccumulator(StatKind kind,
                                             const std::vector<int64_t>& head_widths) {
  switch (kind) {
    case StatKind::kGram:
      return std::make_unique<GramAccumulator>();
    case StatKind::kHeadGram:
      CONDENSE_CHECK(
          !head_widths.empty() && std::all_of(head_widths.begin(), head_widths.end(),
                                              [&](int64_t w) { return w == head_widths.front(); }),
          "head Gram matrices need heads of equal width");
      return std::make_unique<HeadGramAccumulator>(static_cast<int64_t>(head_widths.size()));
    case StatKind::kMean:
      return std::make_unique<MeanAccumulator<Identity>>();
    case StatKind::kSecondMoment:
      return std::make_unique<MeanAccumulator<Square>>();
    case StatKind::kMeanAbs:
      return std::make_unique<MeanAccumulator<Absolute>>();
    case StatKind::kCosine:
    case StatKind::kAngle:
    case StatKind::kPairMetric:
    case StatKind::kKeyCovariance:
      break;
  }
  CONDENSE_CHECK(false, "'{}' looks at more than the rows of one tap", KindName(kind));
  return nullptr;
}

struct StatisticsCollector::State {
  StatRequests requests;
  std::set<Tap> taps;
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
    const Tensor in = block_input.to(kF64), out = output.to(kF64);  // [batch, tokens, width]
    const Tensor norms = in.norm(2, {-1}) * out.norm(2, {-1});
    const Tensor valid = norms > 0;
    const Tensor cosine = (in * out).sum(-1) / norms;
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

StatisticsCollector::StatisticsCollector(StatRequests requests, const LayerConfig& layer)
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
      state_->score_accumulators[request] =
          MakeScoreAccumulator(request.kind, layer.heads, request.query_stride);
      continue;
    }
    state_->accumulators[request] = MakeAccumulator(request.kind, HeadWidths(layer, request.tap));
  }
}

StatisticsCollector::~StatisticsCollector() = default;

bool StatisticsCollector::Wants(Tap tap) const { return state_->taps.count(tap) > 0; }

void StatisticsCollector::OnTap(Tap tap, const Tensor& activations) {
  state_->Count(tap, activations);
  const bool compares = state_->wants_influence || state_->wants_angle;
  if (compares && tap == Tap::kBlockInput) state_->block_input = activations;
  if (compares && tap == Tap::kBlockOutput) state_->AddCosine(activations);
  Tensor rows;  // float64, converted once for all statistics of the tap
  for (auto& [request, accumulator] : state_->accumulators) {
    if (request.tap != tap) continue;
    if (!rows.defined()) rows = activations.flatten(0, -2).to(kF64);
    accumulator->Add(rows);
  }
}

void StatisticsCollector::OnScores(const Tensor& queries, const Tensor& keys, double scale) {
  state_->Count(Tap::kScores, queries);
  for (auto& [request, accumulator] : state_->score_accumulators) {
    accumulator->Add(queries, keys, scale);
  }
}

BlockStatistics StatisticsCollector::Finish(const std::string& where) const {
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
