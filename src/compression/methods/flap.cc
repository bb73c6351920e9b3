// FLAP (An et al., arXiv 2312.11983; methods.md 5.6): units that hardly fluctuate are replaced by
// their mean, which the output bias takes up (made where there is none, and counted). One list of
// standardised scores over all layers (AL-AM) decides how many go where; with `allocation:
// allocator` each layer loses what the allocator says (the publication's UL-UM with `uniform`).
//
// The exact population variance is taken; the publication's program updates a running one with the
// mean that it has just changed. `flap_ls` refits the consumer by least squares as well.
#include "compression/selectors/flap.h"
#include "compression/bases/unit_pruning.h"

namespace condense {
namespace {

struct FlapPruningOptions : PooledUnitOptions {
  FlapOptions score;
  bool square_attn = true;

  FlapPruningOptions() {
    allocation = UnitAllocation::kPooled;
    refit.bias = RefitBias::kIntercept;
  }
  template <class V>
  void Fields(V&& field) {
    score.Fields(field);
    field("square_attn", square_attn,
          "square the scores of attention channels, as the publication's program does");
    PooledUnitOptions::Fields(field);
  }
  void Validate(const Node& at, Problems& problems) const {
    PooledUnitOptions::Validate(at, problems);
    RefuseDims(*this, at, problems);
  }
  FlapOptions attention() const {
    FlapOptions options = score;
    options.square = square_attn;
    return options;
  }
};

class FlapMethod : public UnitPruning {
 public:
  FlapMethod(const FlapPruningOptions& params, std::string key)
      : UnitPruning({.options = params,
                     .pooled = params.pooled(),
                     .mlp = MakeFlap(params.score),
                     .attention = MakeFlap(params.attention()),
                     .key = std::move(key)}) {}
};

class Flap final : public FlapMethod {
 public:
  using Params = FlapPruningOptions;
  explicit Flap(const Params& params) : FlapMethod(params, MethodKey("flap", params)) {}
};
CONDENSE_REGISTER(Compressor, Flap, "flap", 1,
                  "replaces the heads and channels that fluctuate least by their mean (An et al. "
                  "2023)");

class FlapLs final : public FlapMethod {
 public:
  struct Params : FlapPruningOptions {
    Params() { refit.refit = Refit::kDelta; }
  };
  explicit FlapLs(const Params& params) : FlapMethod(params, MethodKey("flap_ls", params)) {}
};
CONDENSE_REGISTER(Compressor, FlapLs, "flap_ls", 1,
                  "flap with a least-squares refit of the consumers");

}  // namespace
}  // namespace condense
