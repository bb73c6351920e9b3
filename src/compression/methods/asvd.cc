// ASVD: Yuan et al., Activation-aware Singular Value Decomposition, arXiv 2312.05821 (methods.md
// 5.8). Inputs are weighed by their mean magnitude, S = diag(mean |x_i|^alpha), and the weight is
// truncated in that scale. The paper's search for the rank of each map is left out: an allocator
// decides the ranks. The reported errors are of the scaled weights.
#include "compression/bases/low_rank_method.h"
#include "config/registry.h"

namespace condense {
namespace {

class Asvd final : public LowRankMethod {
 public:
  struct Params : LowRankOptions {
    double alpha = 0.5;
    template <class V>
    void Fields(V&& field) {
      field("alpha", alpha, "power of the mean magnitude of an input; 0 is plain SVD",
            Range::AtLeast(0));
      LowRankOptions::Fields(field);
    }
  };
  explicit Asvd(const Params& params)
      : LowRankMethod(params, MethodKey("asvd", params)), alpha_(params.alpha) {}

 protected:
  std::optional<StatKind> InputStatistic() const override { return StatKind::kMeanAbs; }

  Whitening WhiteningOf(const Tensor& mean, const std::string&) const override {
    const Tensor positive = mean.masked_select(mean > 0);
    if (positive.numel() == 0) return Whitening::None();
    return Whitening::Diagonal(mean.clamp_min(positive.min()).pow(alpha_));
  }

 private:
  double alpha_;
};

CONDENSE_REGISTER(Compressor, Asvd, "asvd", 1,
                  "truncated SVD in the scale of the inputs' mean magnitudes (Yuan et al. 2023)");

}  // namespace
}  // namespace condense
