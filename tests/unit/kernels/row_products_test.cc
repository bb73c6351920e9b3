#include "kernels/row_products.h"

#include <gtest/gtest.h>

namespace condense {
namespace {

void ExpectProducts(const Tensor& x, const Tensor& y) {
  const InferenceScope inference;
  const RowProducts products = ProductsOfRows(x, y);
  const Tensor a = x.to(kF64), b = y.to(kF64);
  const auto expect = [](const Tensor& value, const Tensor& expected) {
    EXPECT_TRUE(at::allclose(value, expected, 1e-13, 1e-13));
  };
  expect(products.left, (a * a).sum(1));
  expect(products.right, (b * b).sum(1));
  expect(products.both, (a * b).sum(1));
}

TEST(RowProducts, EqualThoseOfOperators) {
  at::manual_seed(3);
  for (const int64_t width : {1, 16, 37, 576}) {
    ExpectProducts(at::randn({70, width}), at::randn({70, width}));
  }
}

TEST(RowProducts, OfRowsThatLieApart) {
  at::manual_seed(4);
  const Tensor x = at::randn({20, 90});
  ExpectProducts(x.narrow(1, 0, 40), x.narrow(1, 45, 40));
  ExpectProducts(x.t(), at::randn({90, 20}));
}

TEST(RowProducts, OfOtherNumberTypes) {
  at::manual_seed(5);
  ExpectProducts(at::randn({9, 30}, kF64), at::randn({9, 30}, kF64));
  ExpectProducts(at::randn({9, 30}).to(kBF16), at::randn({9, 30}).to(kBF16));
}

}  // namespace
}  // namespace condense
