// Global sparsity allocation of MoDeGPT (arXiv 2408.09632, section 3.3; methods.md 2).
//
// Maximises sum_l s_l (1 - phi_l) + eps H(phi) under mean phi_l = phi, with s_l the block influence
// of layer l: phi_l = L phi softmax(-s / eps)_l, then the exact optimum under phi_l <= cap. eps is
// given, or solved so that the largest phi_l before capping is a given value.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "calibration/statistics_store.h"
#include "compression/allocator.h"
#include "compression/allocators/module_weights.h"
#include "config/registry.h"

namespace condense {

// `epsilon: 0.1`, or `epsilon: {max: 0.8}`; with neither the largest share is min(0.8, 2.7 phi).
struct EpsilonSetting {
  std::optional<double> value, max;
};

template <>
struct FieldType<EpsilonSetting> {
  struct Solved {
    double max = 0;
    template <class V>
    void Fields(V&& field) {
      field("max", max, "solve epsilon so that the largest fraction of a layer is this", Required{},
            Range{0, 1}.OpenAbove());
    }
  };
  static void Read(const Node& node, EpsilonSetting& setting, Problems& problems) {
    if (node.IsMap()) {
      Solved solved;
      ReadFields(node, solved, problems);
      setting = {.value = {}, .max = solved.max};
      return;
    }
    if (node.IsScalar() && node.text() == "auto") {
      setting = {};
      return;
    }
    double value = 0;
    FieldType<double>::Read(node, value, problems);
    if (!(value > 0)) problems.Add(node, "epsilon must be positive, or {max: FRACTION}, or auto");
    setting = {.value = value, .max = {}};
  }
  static std::string Canonical(const EpsilonSetting& setting) {
    if (setting.value) return FieldType<double>::Canonical(*setting.value);
    if (setting.max)
      return fmt::format("{{\"max\":{}}}", FieldType<double>::Canonical(*setting.max));
    return "\"auto\"";
  }
  static std::string TypeName() { return "number, {max: fraction} or auto"; }
  static std::string DefaultText(const EpsilonSetting&) { return "auto"; }
};

namespace {

class BlockInfluenceAllocator final : public Allocator {
 public:
  struct Params {
    EpsilonSetting epsilon;
    double cap = 0.8;
    bool clamp = false;
    ModuleWeights module_weights;
    template <class V>
    void Fields(V&& field) {
      field("epsilon", epsilon,
            "smoothing; auto solves for a largest fraction of min(0.8, 2.7 x ratio)");
      field("cap", cap, "no layer and no module loses more than this fraction",
            Range{0, 1}.OpenAbove());
      field("clamp", clamp,
            "cut at the cap without redistribution, losing budget (for comparison only)");
      field("module_weights", module_weights, ModuleWeights::kHelp);
    }
  };
  explicit BlockInfluenceAllocator(Params params) : params_(params) {}

  Allocation Allocate(const AllocationRequest& request) const override {
    const std::vector<double>& s = request.statistics.Influence();
    const double phi = request.target;
    std::vector<double> layers = Softmax(s, phi, Epsilon(s, phi));
    if (params_.clamp) {
      for (double& fraction : layers) fraction = std::min(fraction, params_.cap);
    } else {
      layers = CapAndRedistribute(std::move(layers), params_.cap);
    }
    return OverModules(request.dense, layers, params_.module_weights, params_.cap);
  }

 private:
  static std::vector<double> Softmax(const std::vector<double>& s, double phi, double epsilon) {
    const double least = *std::min_element(s.begin(), s.end());
    std::vector<double> fraction;
    double sum = 0;
    for (const double score : s) {
      fraction.push_back(std::exp((least - score) / epsilon));
      sum += fraction.back();
    }
    for (double& f : fraction) f *= static_cast<double>(s.size()) * phi / sum;
    return fraction;
  }

  double Epsilon(const std::vector<double>& s, double phi) const {
    if (params_.epsilon.value) return *params_.epsilon.value;
    const auto [low, high] = std::minmax_element(s.begin(), s.end());
    const double range = *high - *low;
    if (!(range > 0) || phi == 0) return 1;  // all equal: uniform whatever epsilon is
    double target = std::min(params_.cap, 2.7 * phi);
    if (params_.epsilon.max) {
      target = *params_.epsilon.max;
      if (target <= phi) {
        throw MakeError<ConfigError>("epsilon.max {} must exceed the fraction to remove, {:.4f}",
                                     target, phi);
      }
    }
    target = std::max(target, phi * (1 + 1e-6));
    const auto largest = [&](double epsilon) {
      const auto fractions = Softmax(s, phi, epsilon);
      return *std::max_element(fractions.begin(), fractions.end());
    };
    double from = std::log(1e-6 * range), to = std::log(1e6 * range);
    if (largest(std::exp(from)) <= target) {
      if (params_.epsilon.max) {
        LogWarning("no epsilon brings the largest fraction to {}; using the smallest, {:.3g}",
                   target, std::exp(from));
      }
      return std::exp(from);
    }
    while (to - from > 1e-10) {
      const double middle = (from + to) / 2;
      (largest(std::exp(middle)) > target ? from : to) = middle;
    }
    return std::exp((from + to) / 2);
  }

  Params params_;
};

CONDENSE_REGISTER(
    Allocator, BlockInfluenceAllocator, "block_influence", 1,
    "softmax of block influence: layers that change the stream least lose most (MoDeGPT)");

}  // namespace
}  // namespace condense
