// Plain SVD: each weight by its best low-rank approximation, whatever its inputs are (methods.md
// 5.8). The reported errors are of the weights.
#include "compression/bases/low_rank_method.h"
#include "config/registry.h"

namespace condense {
namespace {

class Svd final : public LowRankMethod {
 public:
  using Params = LowRankOptions;
  explicit Svd(const Params& params) : LowRankMethod(params, MethodKey("svd", params)) {}

 protected:
  std::optional<StatKind> InputStatistic() const override { return std::nullopt; }
  Whitening WhiteningOf(const Tensor&, const std::string&) const override {
    return Whitening::None();
  }
};

CONDENSE_REGISTER(Compressor, Svd, "svd", 1, "truncated SVD of every linear map");

}  // namespace
}  // namespace condense
