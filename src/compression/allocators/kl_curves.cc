// Allocation by measured damage (condense.md 3): for each module of each layer the divergence of
// the model's predictions is measured with this module alone compressed, at several levels, by the
// method's own solvers; the budget is then spent by equal slope. Between levels damage is
// interpolated as a power of what is removed: four levels are then within noise of eight levels
// with straight lines.
//
// It assumes that damages add up. The curves are measured once for a model, a calibration set and
// the options of the method, and serve all ratios; they are stored beside the statistics.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/system.h"
#include "calibration/statistics_store.h"
#include "compression/allocator.h"
#include "compression/allocators/module_curves.h"
#include "compression/allocators/spending.h"
#include "config/registry.h"

namespace condense {
namespace {

enum class Between { kPower, kLinear };

}  // namespace

template <>
struct EnumNames<Between> {
  static constexpr std::array names{std::pair{Between::kPower, "power"},
                                    std::pair{Between::kLinear, "linear"}};
};

namespace {

class KlCurves final : public Allocator {
 public:
  struct Params {
    std::optional<int64_t> windows;
    std::optional<int64_t> tokens;
    std::optional<int64_t> fitted_tokens;
    std::vector<double> levels = {0.125, 0.375, 0.625, 0.875};
    double cap = 0.875;
    Between between = Between::kPower;
    template <class V>
    void Fields(V&& field) {
      field("windows", windows,
            "sequences used, evenly spread over the calibration set; by default up "
            "to 8, as many as hold 1024 tokens, but two at least",
            Range::AtLeast(1));
      field("tokens", tokens, "only the first tokens of each sequence; 512 by default",
            Range::AtLeast(1));
      field("fitted_tokens", fitted_tokens,
            "tokens of the calibration set that trials are fitted to, in whole sequences, evenly "
            "spread; by default a quarter but at least six for each MLP channel, and all where the "
            "method is fitted to the same statistics",
            Range::AtLeast(1));
      field("levels", levels, "fractions of a module that are tried, ascending",
            Range{0, 1}.OpenBelow().OpenAbove(), NonEmpty{});
      field("cap", cap, "no module loses more than this fraction; tried where levels go beyond it",
            Range{0, 1}.OpenBelow().OpenAbove());
      field("between", between, "how damage is interpolated between levels");
    }
    void Validate(const Node& at, Problems& problems) const {
      if (!std::is_sorted(levels.begin(), levels.end(), std::less_equal<>())) {
        problems.Add(at, "levels must ascend");
      }
    }
  };
  explicit KlCurves(Params params) : params_(std::move(params)) {
    std::erase_if(params_.levels, [&](double level) { return level > params_.cap; });
    if (params_.levels.empty() || params_.levels.back() < params_.cap)
      params_.levels.push_back(params_.cap);
  }

  Allocation Allocate(const AllocationRequest& request) const override {
    const std::vector<ModuleCurve> curves = Curves(request);
    const auto layers = static_cast<double>(request.dense.num_layers());
    std::vector<DamageCurve> damages;
    double most = 0;
    for (const ModuleCurve& curve : curves) {
      DamageCurve damage{.cost = 0, .taken = curve.removed, .damage = curve.divergence};
      for (const Module module : curve.group.modules) {
        damage.cost += ModuleShare(request.dense, module) / layers;
      }
      most += damage.cost * damage.taken.back();
      damages.push_back(params_.between == Between::kPower ? PowersBetween(damage, kSteps)
                                                           : std::move(damage));
    }
    if (request.target > most * (1 + 1e-12)) {
      throw MakeError<ConfigError>(
          "cannot remove {:.4f} of the block weights: the modules that the method compresses can "
          "lose {:.4f} at most under a cap of {}; ask for a smaller ratio or raise the cap",
          request.target, most, params_.cap);
    }
    const std::vector<double> taken = SpendByEqualSlope(damages, request.target);
    Allocation allocation(request.dense.layers.size());
    for (size_t i = 0; i < curves.size(); ++i) {
      for (const Module module : curves[i].group.modules) {
        allocation[static_cast<size_t>(curves[i].layer)].of(module) = taken[i];
      }
    }
    return allocation;
  }

  std::vector<ModuleCurve> Curves(const AllocationRequest& request) const override {
    if (request.trials == nullptr) {
      throw ConfigError(
          "allocator 'kl_curves' measures what compressing one module alone does, which this "
          "method does not offer; use another allocator, such as 'block_influence'");
    }
    Params measured = params_;
    measured.between = Params().between;  // is not measured
    measured.fitted_tokens.reset();       // the key has what follows from it
    const auto& kept = request.statistics.DerivedTensors(
        fmt::format("kl_curves 3 {} fitted to {} sequences {}", CanonicalText(measured),
                    FittedSequences(request), request.trials->TrialKey()),
        [&] { return ToTensors(Measure(request)); });
    return FromTensors(kept, *request.trials, request.dense.num_layers());
  }

 private:
  static constexpr int kSteps = 8;  // in which the range between two levels is spent
  // A mean divergence settles after few tokens: on the bundled models 512 lead to as good a result
  // as 8192. With more of them the curves would cost more than the compression, since every level
  // of every module runs through half the model.
  static constexpr int64_t kTokens = 1024, kTokensOfASequence = 512;

  int64_t TokensOfASequence() const { return params_.tokens.value_or(kTokensOfASequence); }
  int64_t WindowsOf(const CalibrationSet& set) const {
    if (params_.windows) return *params_.windows;
    const auto count = static_cast<int64_t>(set.sequences.size());
    const int64_t length = std::max<int64_t>(1, set.tokens / count);
    return std::clamp<int64_t>(kTokens / std::min(length, TokensOfASequence()), 2, 8);
  }

  // Fits of k channels to T tokens err by k / T: noise of a sixth and less leaves the order of
  // modules as it is. In steps of the sequences that statistics of scores look at, so that these
  // are the same for the part and the whole and serve the method too.
  int64_t FittedSequences(const AllocationRequest& request) const {
    const CalibrationSet& set = request.statistics.calibration();
    if (!params_.fitted_tokens && request.trials->SharesStatistics()) return 0;
    const auto count = static_cast<int64_t>(set.sequences.size());
    const int64_t tokens = params_.fitted_tokens.value_or(
        std::max(set.tokens / 4, 6 * request.dense.intermediate_size));
    int64_t step = 1;
    for (const StatRequest& statistic : request.trials->TrialRequests(request.dense)) {
      step = std::max(step, statistic.sequences);
    }
    const double sequences = static_cast<double>(tokens * count) / static_cast<double>(set.tokens);
    const int64_t steps = std::max<int64_t>(1, std::llround(sequences / static_cast<double>(step)));
    return step * steps >= count ? 0 : step * steps;
  }

  std::vector<ModuleCurve> Measure(const AllocationRequest& request) const {
    const Stopwatch watch;
    std::vector<ModuleCurve> curves =
        MeasureCurves(request.statistics, *request.trials,
                      {.windows = WindowsOf(request.statistics.calibration()),
                       .tokens = TokensOfASequence(),
                       .levels = params_.levels,
                       .fitted_sequences = FittedSequences(request)});
    size_t trials = 0;
    for (const ModuleCurve& curve : curves) trials += curve.removed.size() - 1;
    LogInfo("measured {} curves by {} trials in {}", curves.size(), trials,
            HumanDuration(watch.Seconds()));
    return curves;
  }

  // How curves are stored: [2, points] of fractions and divergences.
  static std::string NameOf(int64_t layer, const ModuleGroup& group) {
    return fmt::format("{:03d}.{}", layer, group.name);
  }
  static StatisticsStore::Tensors ToTensors(const std::vector<ModuleCurve>& curves) {
    StatisticsStore::Tensors tensors;
    for (const ModuleCurve& curve : curves) {
      tensors[NameOf(curve.layer, curve.group)] =
          at::stack({at::tensor(curve.removed, kF64), at::tensor(curve.divergence, kF64)});
    }
    return tensors;
  }
  static std::vector<ModuleCurve> FromTensors(const StatisticsStore::Tensors& tensors,
                                              const ModuleTrials& trials, int64_t layers) {
    std::vector<ModuleCurve> curves;
    for (int64_t l = 0; l < layers; ++l) {
      for (const ModuleGroup& group : trials.ModuleGroups()) {
        const Tensor points = tensors.at(NameOf(l, group)).contiguous();
        const double* removed = points.const_data_ptr<double>();
        const double* divergence = removed + points.size(1);
        curves.push_back({.layer = l,
                          .group = group,
                          .removed = {removed, removed + points.size(1)},
                          .divergence = {divergence, divergence + points.size(1)}});
      }
    }
    return curves;
  }

  Params params_;
};

CONDENSE_REGISTER(Allocator, KlCurves, "kl_curves", 4,
                  "measures what each module's loss does to the predictions, and spends by equal "
                  "slope");

}  // namespace
}  // namespace condense
