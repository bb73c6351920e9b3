#include "evaluation/agreement.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/progress.h"
#include "base/system.h"
#include "evaluation/bad_layer.h"
#include "model/divergence.h"
#include "model/stored/check.h"
#include "stats/intervals.h"

namespace condense {
namespace {

using Style = NumberFormat::Style;

const Metric& Divergence(const char* name, const char* label, const char* series = "") {
  return RegisterMetric({.name = name,
                         .unit = "nats",
                         .format = {Style::kFixed, 4},
                         .better = Better::kLower,
                         .label = label,
                         .series = series,
                         .kind = Metric::Kind::kAgreement});
}
const Metric& Share(const char* name, const char* label, const char* series = "") {
  return RegisterMetric({.name = name,
                         .unit = "fraction",
                         .format = {Style::kPercent, 2},
                         .better = Better::kHigher,
                         .label = label,
                         .series = series,
                         .kind = Metric::Kind::kAgreement});
}
const Metric& Change(const char* name, const char* unit, const char* label,
                     const char* series = "") {
  return RegisterMetric({.name = name,
                         .unit = unit,
                         .label = label,
                         .series = series,
                         .kind = Metric::Kind::kAgreement});
}

const Metric& kKlMean = Divergence("kl_mean", "KL divergence from dense", "window_kl");
const Metric& kKlMedian = Divergence("kl_median", "median KL divergence from dense");
const Metric& kKlP90 = Divergence("kl_p90", "90th percentile of KL divergence from dense");
const Metric& kKlP99 = Divergence("kl_p99", "99th percentile of KL divergence from dense");
const Metric& kKlMax = Divergence("kl_max", "largest KL divergence from dense");
const Metric& kTop1 = Share("top1_agree", "agreement with dense", "window_top1");
const Metric& kTop5 = Share("top5_overlap", "overlap of the five likeliest tokens with dense");
const Metric& kDpMean = Change("dp_mean", "", "mean change of the target's probability");
const Metric& kDpRms = Change("dp_rms", "", "RMS change of the target's probability");
const Metric& kLossChange =
    Change("nll_diff", "nats", "loss above the dense model's", "window_nll_diff");
const Metric& kVocabularyCut = RegisterMetric(
    {.name = "vocabulary_cut", .unit = "count", .label = "rows of the larger vocabulary left out"});

// How far below zero rounding may bring a divergence.
constexpr double kRounding = 1e-6;

// Positions of some windows and their states after the last block of each model: [rows, width].
struct Rows {
  Tensor dense, compressed;
  Tensor targets;  // [rows] int64
};

// Positions that predict a target, window after window.
Rows ScoredRows(const EvaluationText& text, const Tensor& windows, const Tensor& dense,
                const Tensor& compressed) {
  const int64_t first = text.first_target, count = text.window - first;
  const auto states = [&](const Tensor& hidden) {
    return hidden.narrow(1, first - 1, count).flatten(0, 1);
  };
  return {states(dense), states(compressed), windows.narrow(1, first, count).flatten()};
}

class Collector {
 public:
  Collector(const ModelSource& dense, const ModelSource& compressed, const EvaluationText& text,
            AgreementResult& result)
      : dense_(dense),
        compressed_(compressed),
        text_(text),
        result_(result),
        vocabulary_(std::min(dense.config().vocab_size, compressed.config().vocab_size)) {}

  void Add(const HeadedStates& dense, const HeadedStates& compressed, const Tensor& windows) {
    const Rows rows = ScoredRows(text_, windows, dense.hidden, compressed.hidden);
    const auto compared = CompareNextTokens(
        {dense.head, rows.dense}, {compressed.head, rows.compressed}, rows.targets, vocabulary_);
    const size_t per_window = static_cast<size_t>(text_.window - text_.first_target);
    const int64_t* targets = rows.targets.const_data_ptr<int64_t>();
    for (int64_t i = 0; i < windows.size(0); ++i) {
      const auto begin = static_cast<size_t>(i) * per_window;
      const auto positions = std::span(compared).subspan(begin, per_window);
      RequireSound(positions, windows[i], dense, rows.dense.narrow(0, i * per_window, per_window));
      AddWindow(positions, targets + begin);
      ++seen_;
    }
  }

  void Finish() {
    const double n = static_cast<double>(divergences_.size());
    if (divergences_.empty()) throw MakeError<DataError>("{}: no target counts", text_.source);
    result_.positions = static_cast<int64_t>(divergences_.size());
    result_.kl_mean = MeanOf(divergences_);
    std::sort(divergences_.begin(), divergences_.end());
    result_.kl_median = Quantile(divergences_, 0.5);
    result_.kl_p90 = Quantile(divergences_, 0.9);
    result_.kl_p99 = Quantile(divergences_, 0.99);
    result_.kl_max = divergences_.back();
    result_.top1_agree = sums_.top1 / n;
    result_.top5_overlap = sums_.top5 / n / 5;
    result_.dp_mean = sums_.dp / n;
    result_.dp_rms = std::sqrt(sums_.dp_squared / n);
    result_.nll_diff = sums_.nll_diff / n;
    result_.kl_error = StandardErrorOfMean(result_.window_kl);
    result_.top1_error = StandardErrorOfMean(result_.window_top1);
    result_.nll_diff_error = StandardErrorOfMean(result_.window_nll_diff);
  }

 private:
  struct Sums {
    double kl = 0, top1 = 0, top5 = 0, dp = 0, dp_squared = 0, nll_diff = 0;
  };

  // Targets that the text ignores are not counted as positions.
  void AddWindow(std::span<const LogitComparison> positions, const int64_t* targets) {
    Sums window;
    double counted = 0;
    for (size_t t = 0; t < positions.size(); ++t) {
      const LogitComparison& position = positions[t];
      if (text_.ignore_id && targets[t] == *text_.ignore_id) continue;
      const double divergence = std::max(position.divergence, 0.0);
      const double dp = std::exp(position.log_q) - std::exp(position.log_p);
      divergences_.push_back(divergence);
      window.kl += divergence;
      window.top1 += position.same_top;
      window.nll_diff += position.log_p - position.log_q;
      sums_.top5 += static_cast<double>(position.common_top5);
      sums_.dp += dp;
      sums_.dp_squared += dp * dp;
      ++counted;
    }
    sums_.top1 += window.top1;
    sums_.nll_diff += window.nll_diff;
    if (counted == 0) return;
    result_.window_kl.push_back(window.kl / counted);
    result_.window_top1.push_back(window.top1 / counted);
    result_.window_nll_diff.push_back(window.nll_diff / counted);
  }

  // hidden: [positions, width] of the dense model.
  void RequireSound(std::span<const LogitComparison> positions, const Tensor& ids,
                    const HeadedStates& dense, const Tensor& hidden) const {
    int64_t bad = 0, first = -1;
    for (size_t t = 0; t < positions.size(); ++t) {
      const double divergence = positions[t].divergence;
      if (std::isfinite(divergence) && divergence >= -kRounding) continue;
      if (bad++ == 0) first = static_cast<int64_t>(t);
    }
    if (bad == 0) return;
    const double divergence = positions[static_cast<size_t>(first)].divergence;
    if (std::isfinite(divergence)) {
      throw MakeError<NumericError>(
          "window {}, position {}: the divergence is {}, negative by more than rounding", seen_,
          first + text_.first_target - 1, divergence);
    }
    const Tensor logits = dense.head.Forward(hidden[first]);
    const bool dense_bad = !at::isfinite(logits).all().item<bool>();
    throw MakeError<NumericError>(
        "window {}: logits of the {} model are not finite at {} of {} positions; first seen after "
        "{}",
        seen_, dense_bad ? "dense" : "compressed", bad, positions.size(),
        FirstBadLayer(dense_bad ? dense_ : compressed_, ids.unsqueeze(0)));
  }

  const ModelSource& dense_;
  const ModelSource& compressed_;
  const EvaluationText& text_;
  AgreementResult& result_;
  int64_t vocabulary_;
  std::vector<double> divergences_;  // of every position
  Sums sums_;                        // over all positions
  int64_t seen_ = 0;                 // windows
};

// The first windows of a text; throws unless the model has their ids and their length.
std::vector<std::vector<TokenId>> CheckedWindows(const ModelSource& model,
                                                 const EvaluationText& text, int64_t count) {
  RequirePositions(text, model.config().LongestText());
  std::vector<std::vector<TokenId>> windows;
  for (int64_t k = 0; k < count; ++k) {
    windows.push_back(text.Window(k));
    RequireKnownIds(model.config(), windows.back(), fmt::format("{}: window {}", text.source, k));
  }
  return windows;
}

}  // namespace

AgreementReference::AgreementReference(const ModelSource& dense, const EvaluationText& text,
                                       const AgreementOptions& options)
    : dense_(dense),
      text_(text),
      windows_(std::min(text.windows, options.first_windows.value_or(text.windows))),
      batches_(CheckedWindows(dense, text, windows_), HiddenStates::kBatchTokens),
      states_(dense, batches_, "agreement, dense model") {}

uint64_t AgreementReference::Bytes() const {
  return static_cast<uint64_t>(batches_.tokens() * dense_.config().hidden_size) *
         at::elementSize(dense_.dtype());
}

AgreementResult EvaluateAgreement(const AgreementReference& reference,
                                  const ModelSource& compressed) {
  const InferenceScope inference;
  const Stopwatch watch;
  const ModelSource& dense = reference.dense();
  const EvaluationText& text = reference.text();
  AgreementResult result{
      .windows = reference.windows(),
      .window = text.window,
      .vocabulary_cut = std::abs(dense.config().vocab_size - compressed.config().vocab_size),
      .window_kl = {},
      .window_top1 = {},
      .window_nll_diff = {},
      .ids_sha256 = text.ids_sha256};
  CheckedWindows(compressed, text, result.windows);  // the reference has them
  const TokenBatches& batches = reference.batches();
  const HiddenStates states(compressed, batches, "agreement, compressed model");
  Collector collector(dense, compressed, text, result);
  Progress progress("agreement", result.windows, "windows");
  for (int64_t i = 0; i < static_cast<int64_t>(batches.ids().size()); ++i) {
    const Tensor& ids = batches.ids()[static_cast<size_t>(i)];
    const Tensor p = reference.Batch(i), q = states.Batch(i);
    collector.Add({reference.head(), p}, {states.head(), q}, ids);
    progress.Advance(ids.size(0));
  }
  collector.Finish();
  result.seconds = watch.Seconds();
  return result;
}

AgreementResult EvaluateAgreement(const ModelSource& dense, const ModelSource& compressed,
                                  const EvaluationText& text, const AgreementOptions& options) {
  const InferenceScope inference;
  const Stopwatch watch;
  AgreementResult result = EvaluateAgreement(AgreementReference(dense, text, options), compressed);
  result.seconds = watch.Seconds();
  return result;
}

Measured MeasuredOf(const AgreementResult& result) {
  Measured measured{.count = result.windows, .ids_sha256 = result.ids_sha256};
  measured.values = {{&kKlMean, result.kl_mean, result.kl_error, {}},
                     {&kKlMedian, result.kl_median, {}, {}},
                     {&kKlP90, result.kl_p90, {}, {}},
                     {&kKlP99, result.kl_p99, {}, {}},
                     {&kKlMax, result.kl_max, {}, {}},
                     {&kTop1, result.top1_agree, result.top1_error, {}},
                     {&kTop5, result.top5_overlap, {}, {}},
                     {&kDpMean, result.dp_mean, {}, {}},
                     {&kDpRms, result.dp_rms, {}, {}},
                     {&kLossChange, result.nll_diff, result.nll_diff_error, {}},
                     {&kVocabularyCut, static_cast<double>(result.vocabulary_cut), {}, {}}};
  measured.series = {{kKlMean.series, result.window_kl},
                     {kTop1.series, result.window_top1},
                     {kLossChange.series, result.window_nll_diff}};
  return measured;
}

}  // namespace condense
