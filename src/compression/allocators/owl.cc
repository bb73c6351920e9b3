// Outlier-weighed layers: Yin et al., OWL, arXiv 2310.05175 (methods.md 2), made for unstructured
// sparsity and applied here to the fractions that structured methods remove.
//
// D_l is the share of the weights of layer l, over all its linear maps, whose Wanda score
// |W_ij| sqrt(mean x_i^2) exceeds M times the mean score of the layer. Layers with many outliers
// keep more: rho_l = (1 - phi) + D~_l - mean(D~), D~_l = 2 lambda (D_l - min) / (max - min).
#include <algorithm>
#include <numeric>

#include "calibration/statistics_store.h"
#include "compression/allocator.h"
#include "compression/allocators/module_weights.h"
#include "compression/linear_inputs.h"
#include "config/registry.h"

namespace condense {
namespace {

// Share of the scores of a block's linear maps that exceed `multiple` times their common mean.
double OutlierShare(const Block& block, const BlockStatistics& statistics,
                    const std::vector<Role>& roles, double multiple) {
  const auto scores = [&](Role role) {  // [out, in]
    const Tensor& weight = block.LinearOf(role).weight;
    const Tensor rms = statistics.Get(SecondMoment(InputTap(role))).sqrt();
    return weight.to(kF64).abs() * rms.to(weight.device());
  };
  double sum = 0, count = 0, outliers = 0;
  for (const Role role : roles) {
    const Tensor of_role = scores(role);
    sum += of_role.sum().item<double>();
    count += static_cast<double>(of_role.numel());
  }
  const double threshold = multiple * sum / count;
  for (const Role role : roles) {
    outliers += static_cast<double>((scores(role) > threshold).sum().item<int64_t>());
  }
  return outliers / count;
}

class Owl final : public Allocator {
 public:
  struct Params {
    double m = 5, lambda = 0.08, cap = 0.8;
    ModuleWeights module_weights;
    template <class V>
    void Fields(V&& field) {
      field("m", m, "an outlier exceeds the mean score of its layer by this factor",
            Range::Above(0));
      field("lambda", lambda, "layers deviate from the mean fraction by about this much",
            Range{0, 1});
      field("cap", cap, "no layer and no module loses more than this fraction",
            Range{0, 1}.OpenAbove());
      field("module_weights", module_weights, ModuleWeights::kHelp);
    }
  };
  explicit Owl(Params params) : params_(params) {}

  Allocation Allocate(const AllocationRequest& request) const override {
    std::vector<double> removed = Shifted(Outliers(request.statistics), request.target);
    // Nothing can be added to a layer: what is below zero is taken from the others in proportion.
    double sum = 0;
    for (double& fraction : removed) sum += fraction = std::max(fraction, 0.0);
    const double total = request.target * static_cast<double>(removed.size());
    for (double& fraction : removed) fraction *= sum > 0 ? total / sum : 0;
    removed = CapAndRedistribute(std::move(removed), params_.cap);
    return OverModules(request.dense, removed, params_.module_weights, params_.cap);
  }

 private:
  // Measured once for each model and calibration set: plans ask for many targets.
  const std::vector<double>& Outliers(StatisticsStore& statistics) const {
    return statistics.Derived<std::vector<double>>(fmt::format("owl outliers {}", params_.m), [&] {
      const ModelSource& model = statistics.model();
      const std::vector<Role> roles = LinearRoles(model.config());
      std::vector<double> shares;
      statistics.ForEachLayer(
          InputStatistics(StatKind::kSecondMoment),
          [&](int64_t l, const BlockStatistics& of_layer) {
            shares.push_back(OutlierShare(statistics.LoadBlock(l), of_layer, roles, params_.m));
          });
      return shares;
    });
  }

  // phi - D~_l + mean(D~).
  std::vector<double> Shifted(const std::vector<double>& outliers, double target) const {
    const auto [low, high] = std::minmax_element(outliers.begin(), outliers.end());
    std::vector<double> shift(outliers.size(), 0);
    if (*high > *low) {
      for (size_t l = 0; l < shift.size(); ++l) {
        shift[l] = 2 * params_.lambda * (outliers[l] - *low) / (*high - *low);
      }
    }
    const double mean =
        std::accumulate(shift.begin(), shift.end(), 0.0) / static_cast<double>(shift.size());
    for (double& value : shift) value = target - value + mean;
    return shift;
  }

  Params params_;
};

CONDENSE_REGISTER(Allocator, Owl, "owl", 1,
                  "layers with more outlying weights lose less (Yin et al. 2024)");

}  // namespace
}  // namespace condense
