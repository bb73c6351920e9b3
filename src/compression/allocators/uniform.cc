// The same fraction from every layer, shared by its modules as weighted.
#include "compression/allocator.h"
#include "compression/allocators/module_weights.h"
#include "config/registry.h"

namespace condense {
namespace {

class Uniform final : public Allocator {
 public:
  struct Params {
    double cap = 1;
    ModuleWeights module_weights;
    template <class V>
    void Fields(V&& field) {
      field("cap", cap, "no module loses more than this fraction", Range{0, 1}.OpenBelow());
      field("module_weights", module_weights, ModuleWeights::kHelp);
    }
  };
  explicit Uniform(Params params) : params_(params) {}

  Allocation Allocate(const AllocationRequest& request) const override {
    const std::vector<double> layers(request.dense.layers.size(), request.target);
    return OverModules(request.dense, layers, params_.module_weights, params_.cap);
  }

 private:
  Params params_;
};

CONDENSE_REGISTER(Allocator, Uniform, "uniform", 1, "the same fraction from every layer");

}  // namespace
}  // namespace condense
