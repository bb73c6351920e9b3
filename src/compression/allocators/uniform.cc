// The same fraction everywhere.
#include "compression/allocation.h"
#include "config/registry.h"

namespace condense {
namespace {

class Uniform final : public Allocator {
 public:
  Allocation Allocate(const AllocationRequest& request) const override {
    const double f = request.target;
    return Allocation(request.dense.layers.size(), {.mlp = f, .qk = f, .vo = f});
  }
};

CONDENSE_REGISTER(Allocator, Uniform, "uniform", 1,
                  "the same fraction from every module of every layer");

}  // namespace
}  // namespace condense
