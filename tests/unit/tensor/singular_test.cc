// The singular value decomposition with the sign rule of methods.md 0.5.
#include <gtest/gtest.h>

#include "base/error.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

Tensor Matrix(int64_t rows, int64_t columns) {
  at::manual_seed(3);
  return at::randn({rows, columns}, kF64);
}

TEST(SingularValues, RecomposeTallAndWideMatrices) {
  for (const auto& [rows, columns] : {std::pair{7, 4}, std::pair{4, 7}, std::pair{5, 5}}) {
    const Tensor a = Matrix(rows, columns);
    const Singular svd = SingularValues(a, "a");
    const Tensor product = at::matmul(svd.left * svd.values, svd.right.t());
    EXPECT_LT((product - a).abs().max().item<double>(), 1e-12);
    const Tensor eye = at::eye(svd.values.size(0), a.options());
    EXPECT_LT((at::matmul(svd.right.t(), svd.right) - eye).abs().max().item<double>(), 1e-12);
    EXPECT_TRUE((svd.values.diff() <= 0).all().item<bool>());
    const Tensor rows_of_largest = svd.left.abs().argmax(0, true);
    EXPECT_TRUE((svd.left.gather(0, rows_of_largest) > 0).all().item<bool>());
  }
}

TEST(SingularValues, RefuseWhatIsNotFinite) {
  Tensor a = Matrix(3, 3);
  a[1][2] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(SingularValues(a, "a"), NumericError);
}

TEST(ConditionOf, NeverExceedsTheConditionNumber) {
  const Tensor a = Matrix(20, 6), c = at::matmul(a.t(), a);
  const Tensor values = at::linalg_eigvalsh(c);
  const double exact = values.max().item<double>() / values.min().item<double>();
  const double bound = ConditionOf(CholeskyEscalated(c, "c"));
  EXPECT_GE(bound, 1);
  EXPECT_LE(bound, exact * (1 + 1e-12));
}

}  // namespace
}  // namespace condense
