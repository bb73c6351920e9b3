// Magnitude pruning of units (methods.md 5.4): the units whose weights have the least squared norm
// go. Looks at no data; nothing is refitted unless asked for.
#include "compression/selectors/magnitude.h"
#include "compression/bases/unit_pruning.h"

namespace condense {
namespace {

class Magnitude final : public UnitPruning {
 public:
  struct Params : PooledUnitOptions {
    MagnitudeOptions score;
    template <class V>
    void Fields(V&& field) {
      score.Fields(field);
      PooledUnitOptions::Fields(field);
    }
  };
  explicit Magnitude(const Params& params)
      : UnitPruning({.options = params,
                     .pooled = params.pooled(),
                     .mlp = MakeMagnitude(params.score),
                     .attention = MakeMagnitude(params.score),
                     .key = MethodKey("magnitude", params)}) {}
};

CONDENSE_REGISTER(Compressor, Magnitude, "magnitude", 1,
                  "removes the heads and channels of least squared norm");

}  // namespace
}  // namespace condense
