#include "compression/compress.h"

#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"

namespace condense {
namespace {

constexpr double kNominalTolerance = 1e-9;

// Parameters that the requested ratio allows, and the same measure of a plan.
struct Budget {
  Match match;
  double ratio;
  ParameterCount dense;

  double Target() const {
    const auto block = static_cast<double>(dense.block), total = static_cast<double>(dense.Total());
    switch (match) {
      case Match::kBlock:
        return (1 - ratio) * block;
      case Match::kTotal:
        return (1 - ratio) * total;
      case Match::kTotalAbs:
        return total - ratio * block;
      case Match::kNominal:
        break;
    }
    return 0;
  }
  // Block weights that go, whatever the plan.
  double Removed() const { return ratio * Whole(); }
  double Measure(const Plan& plan) const {
    const ParameterCount count = CountParameters(plan.config);
    return static_cast<double>(match == Match::kBlock ? count.block : count.Total());
  }
  // What the ratio is a fraction of; of kNominal, block weights.
  double Whole() const {
    return static_cast<double>(match == Match::kTotal ? dense.Total() : dense.block);
  }
};

}  // namespace

MatchedPlan MatchRatio(const CompressionRequest& request, const PlanContext& context) {
  if (!(request.ratio >= 0 && request.ratio < 1)) {
    throw MakeError<ConfigError>("ratio {} is outside [0, 1)", request.ratio);
  }
  if (request.match == Match::kNominal ||
      (request.allocator != nullptr && request.allocator->IsFixed())) {
    return {request.ratio, request.method.MakePlan(context, request.ratio)};
  }
  const Budget budget{request.match, request.ratio, CountParameters(context.dense())};
  // Rounding of the product must not cost a unit.
  const double target = budget.Target() * (1 + 1e-12);
  // The nominal ratio beyond which the model fits: bisection, as parameters fall with the nominal
  // ratio. A plan that cannot be made counts as small enough; if it is needed, the last
  // call reports the error.
  const auto fits = [&](double nominal) {
    try {
      return budget.Measure(request.method.MakePlan(context, nominal)) <= target;
    } catch (const ConfigError&) {
      return true;
    }
  };
  double above = 0, below = 1 - kNominalTolerance;  // too large, small enough
  if (fits(above)) below = above;
  while (below - above > kNominalTolerance) {
    const double middle = (above + below) / 2;
    (fits(middle) ? below : above) = middle;
  }
  MatchedPlan matched{below, request.method.MakePlan(context, below)};
  const double measure = budget.Measure(matched.plan);
  if (request.method.match_rule() == MatchRule::kNearest) {
    if (below == 0 || measure > target) return matched;
    MatchedPlan larger{above, request.method.MakePlan(context, above)};
    return budget.Measure(larger.plan) - target < target - measure ? larger : matched;
  }
  if (measure > target) {
    throw MakeError<ConfigError>(
        "the method cannot remove {} of the parameters: the smallest model it makes has {}, {} are "
        "asked for; ask for a smaller ratio",
        request.ratio, GroupThousands(std::llround(measure)), GroupThousands(std::llround(target)));
  }
  return matched;
}

namespace {

void CopyModel(const ModelSource& dense, ModelSink& sink) {
  const Embedding embedding = dense.LoadEmbedding();
  sink.PutEmbedding(embedding);
  for (int64_t l = 0; l < dense.config().num_layers(); ++l) sink.PutBlock(l, dense.LoadBlock(l));
  sink.PutHead(LoadHeadFor(dense, embedding));
}

// Times the sink as the phase "save".
class TimedSink final : public ModelSink {
 public:
  TimedSink(ModelSink& sink, PhaseClock& clock) : sink_(sink), clock_(clock) {}

  void PutEmbedding(const Embedding& embedding) override {
    const PhaseClock::Scope phase(&clock_, "save");
    sink_.PutEmbedding(embedding);
  }
  void PutBlock(int64_t position, Block block) override {
    const PhaseClock::Scope phase(&clock_, "save");
    sink_.PutBlock(position, std::move(block));
  }
  void PutHead(const Head& head) override {
    const PhaseClock::Scope phase(&clock_, "save");
    sink_.PutHead(head);
  }
  void Finish(const ModelConfig& config) override {
    const PhaseClock::Scope phase(&clock_, "save");
    sink_.Finish(config);
  }

 private:
  ModelSink& sink_;
  PhaseClock& clock_;
};

// Passes over the calibration set are timed by `clock` while this lives.
class ClockedStatistics {
 public:
  ClockedStatistics(StatisticsStore& statistics, PhaseClock& clock) : statistics_(statistics) {
    statistics_.set_clock(&clock);
  }
  ~ClockedStatistics() { statistics_.set_clock(nullptr); }
  ClockedStatistics(const ClockedStatistics&) = delete;

 private:
  StatisticsStore& statistics_;
};

void RequireDense(const ModelConfig& config) {
  if (config.IsDense()) return;
  throw ConfigError(
      "the model is compressed already and its layers are uneven, which the methods do not "
      "expect; compress the dense model that it was made from");
}

// ConfigError, before an allocator measures anything, if no plan can succeed: even if attention
// kept all of its weights, the widest MLP would have this many channels.
void RequireTokensForAnyPlan(const CompressionRequest& request, const StatisticsStore& statistics) {
  const ModelConfig& dense = statistics.model().config();
  const ModuleTrials* trials = request.method.trials();
  const bool fixed = request.allocator != nullptr && request.allocator->IsFixed();
  if (fixed || trials == nullptr || trials->TrialRequests(dense).empty()) return;
  const Budget budget{request.match, request.ratio, CountParameters(dense)};
  const double mlp = ModuleShare(dense, Module::kMlp) * static_cast<double>(budget.dense.block);
  constexpr double kMargin = 0.99;  // biases, and widths that round down
  const double kept = kMargin * (1 - budget.Removed() / mlp);
  RequireTokensFor(static_cast<int64_t>(kept * static_cast<double>(dense.intermediate_size)),
                   statistics);
}

// Absolute, of a ratio: what is further away is missed, however coarse the steps of the method are.
constexpr double kFarFromAsked = 0.05;

RatioOutcome OutcomeOf(const CompressionRequest& request, const ModelConfig& dense,
                       const MatchedPlan& matched) {
  const Budget budget{request.match, request.ratio, CountParameters(dense)};
  RatioOutcome outcome{.asked = request.ratio, .achieved = matched.nominal};
  if (request.match == Match::kNominal) return outcome;  // the method was asked in its own measure
  const auto all = static_cast<double>(request.match == Match::kBlock ? budget.dense.block
                                                                      : budget.dense.Total());
  outcome.achieved = (all - budget.Measure(matched.plan)) / budget.Whole();
  double tolerance = kFarFromAsked;
  if (request.method.match_rule() == MatchRule::kNearest) {
    const double block = static_cast<double>(budget.dense.block) /
                         static_cast<double>(dense.num_layers()) / budget.Whole();
    tolerance = std::min(tolerance, block / 2);
  }
  constexpr double kRounding = 1e-9;
  outcome.missed = std::abs(outcome.achieved - outcome.asked) > tolerance + kRounding;
  return outcome;
}

// Warns where the ratio is missed. ConfigError where nothing is removed, if that is not allowed.
void CheckOutcome(const CompressionRequest& request, const RatioOutcome& outcome,
                  const ModelConfig& dense, const ModelConfig& plan) {
  const bool depth = request.method.match_rule() == MatchRule::kNearest;
  const std::string unit =
      depth ? fmt::format(
                  "; it removes whole blocks, of which the model has {}, and never all that its "
                  "options protect",
                  dense.num_layers())
            : "";
  if (CountParameters(plan).Total() == CountParameters(dense).Total()) {
    const std::string message = fmt::format(
        "nothing is removed, although a ratio of {} was asked for: the method can take no step "
        "towards it{}; ask for a larger ratio, or for another method",
        outcome.asked, unit);
    if (request.must_remove) throw ConfigError(message);
    LogWarning("{}", message);
  } else if (outcome.missed) {
    LogWarning("{:.2f}% of the {} were asked for, {:.2f}% are removed{}", 100 * outcome.asked,
               request.match == Match::kTotal ? "parameters" : "block weights",
               100 * outcome.achieved, unit);
  }
}

void CompressInto(const CompressionRequest& request, StatisticsStore& statistics,
                  StatisticsStore& scores, ModelSink& sink, CompressionResult& result) {
  const PlanContext context(statistics, scores, request.allocator, request.method.trials(),
                            request.seed);
  RequireTokensForAnyPlan(request, statistics);
  statistics.Announce(request.method.DenseRequests(statistics.model().config()));
  MatchedPlan matched = [&] {
    const PhaseClock::Scope phase(statistics.clock(), "plan");
    return MatchRatio(request, context);
  }();
  result.outcome = OutcomeOf(request, context.dense(), matched);
  CheckOutcome(request, *result.outcome, context.dense(), matched.plan.config);
  const int64_t planned = CountParameters(matched.plan.config).Total();
  result.nominal = matched.nominal;
  CompressionJob job(statistics, sink, std::move(matched.plan.config), request.seed);
  job.report().allocation = std::move(matched.plan.allocation);
  if (!job.report().allocation.empty()) {
    job.report().influence = context.known_influence();
    job.report().curves = context.Curves();
  }
  request.method.Compress(job);
  result.config = job.config();
  CONDENSE_CHECK(CountParameters(result.config).Total() == planned,
                 "the method made {} parameters, its plan has {}",
                 CountParameters(result.config).Total(), planned);
  result.report = std::move(job.report());
}

}  // namespace

CompressionResult Compress(const CompressionRequest& request, StatisticsStore& statistics,
                           StatisticsStore& scores, ModelSink& sink) {
  const InferenceScope inference;
  PhaseClock clock("solve");
  const ClockedStatistics clocked(statistics, clock), clocked_scores(scores, clock);
  TimedSink timed(sink, clock);
  CompressionResult result;
  if (!request.method.UsesRatio() || request.ratio == 0) {
    CopyModel(statistics.model(), timed);
    result.config = statistics.model().config();
  } else {
    RequireDense(statistics.model().config());
    CompressInto(request, statistics, scores, timed, result);
  }
  timed.Finish(result.config);
  result.parameters = CountParameters(result.config);
  result.ratios = RatiosOf(result.config);
  result.phases = clock.Uses();
  for (const auto& [phase, use] : result.phases) result.seconds += use.seconds;
  return result;
}

}  // namespace condense
