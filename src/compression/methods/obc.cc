// Structured pruning with the optimal-brain-surgeon cost (OBC, Frantar & Alistarh, arXiv
// 2208.11580; ZipLM, Kurtic et al., arXiv 2302.04089; methods.md 5.7): channels and heads go one
// after the other, each time the one whose loss costs least once all others have adapted. The
// weights come from the least-squares refit at the end, to which the compensated steps add up.
//
// `allocation: pooled` removes, over all layers, what costs least per parameter: the squared
// error that it adds to the residual stream, which all modules of all layers share.
#include "compression/selectors/obc.h"
#include "compression/bases/unit_pruning.h"

namespace condense {
namespace {

class ObcPruning final : public UnitPruning {
 public:
  struct Params : PooledUnitOptions {
    ObcOptions score;
    Params() { refit.refit = Refit::kDelta; }
    template <class V>
    void Fields(V&& field) {
      score.Fields(field);
      PooledUnitOptions::Fields(field);
    }
    void Validate(const Node& at, Problems& problems) const {
      PooledUnitOptions::Validate(at, problems);
      RefuseDims(*this, at, problems);
    }
  };
  explicit ObcPruning(const Params& params)
      : UnitPruning({.options = params,
                     .pooled = params.pooled(),
                     .mlp = MakeObc(params.score),
                     .attention = MakeObc(params.score),
                     .key = MethodKey("obc", params)}),
        options_(params.score) {}

  const char* default_allocator() const override { return Compressor::default_allocator(); }

 protected:
  Ranking Rank(UnitKind, const ChannelInput& input, int64_t parameters) const override {
    const Elimination elimination = ObcOrder(options_, input, input.count() - 1);
    Ranking ranking{.order = elimination.order, .priority = {}};
    const double* cost = elimination.costs.const_data_ptr<double>();
    for (size_t i = 0; i < ranking.order.size(); ++i) {
      ranking.priority.push_back(cost[i] / static_cast<double>(parameters));
    }
    return ranking;
  }

 private:
  ObcOptions options_;
};

CONDENSE_REGISTER(Compressor, ObcPruning, "obc", 2,
                  "removes heads and channels one by one with compensation (Frantar & Alistarh "
                  "2022, Kurtic et al. 2023)");

}  // namespace
}  // namespace condense
