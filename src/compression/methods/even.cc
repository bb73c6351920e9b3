// Evenly spaced units stay (methods.md 5.4), whatever they do.
#include "compression/selectors/even.h"
#include "compression/bases/unit_pruning.h"

namespace condense {
namespace {

class EvenPruning final : public UnitPruning {
 public:
  using Params = UnitOptions;
  explicit EvenPruning(const Params& params)
      : UnitPruning({.options = params,
                     .mlp = MakeEven(),
                     .attention = MakeEven(),
                     .key = MethodKey("even", params)}) {}
};

CONDENSE_REGISTER(Compressor, EvenPruning, "even", 1, "keeps heads and channels at even spacing");

}  // namespace
}  // namespace condense
