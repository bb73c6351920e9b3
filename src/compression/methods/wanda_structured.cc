// Wanda on whole units (Sun et al., arXiv 2306.11695; structured form in methods.md 5.5): the mean
// over outputs of |W_jo| sqrt(E[x_j^2]), summed over the rows of a head. Block after block, each on
// the output of the pruned blocks below. Nothing is refitted.
#include "compression/bases/unit_pruning.h"
#include "compression/selectors/wanda.h"

namespace condense {
namespace {

class WandaStructured final : public UnitPruning {
 public:
  struct Params : PooledUnitOptions {
    Params() { refresh = Refresh::kLayer; }
    void Validate(const Node& at, Problems& problems) const {
      PooledUnitOptions::Validate(at, problems);
      RefuseDims(*this, at, problems);
    }
  };
  explicit WandaStructured(const Params& params)
      : UnitPruning({.options = params,
                     .pooled = params.pooled(),
                     .mlp = MakeWanda(),
                     .attention = MakeWanda(),
                     .key = MethodKey("wanda_structured", params)}) {}
};

CONDENSE_REGISTER(Compressor, WandaStructured, "wanda_structured", 1,
                  "removes heads and channels of least |weight| x activation, block after block "
                  "(Sun et al. 2023)");

}  // namespace
}  // namespace condense
