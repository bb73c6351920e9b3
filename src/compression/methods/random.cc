// Removal of units at random (methods.md 5.4), from a random stream per layer and module: the
// baseline for any score.
#include "compression/selectors/random.h"
#include "compression/bases/unit_pruning.h"

namespace condense {
namespace {

class RandomPruning final : public UnitPruning {
 public:
  using Params = UnitOptions;
  explicit RandomPruning(const Params& params)
      : UnitPruning({.options = params,
                     .mlp = MakeRandomUnits(),
                     .attention = MakeRandomUnits(),
                     .key = MethodKey("random", params)}) {}
};

CONDENSE_REGISTER(Compressor, RandomPruning, "random", 1, "removes heads and channels at random");

}  // namespace
}  // namespace condense
