#include "tensor/gram_sum.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>

namespace condense {
namespace {

Tensor Rows(int64_t n, int64_t p, uint64_t seed = 7) {
  at::manual_seed(seed);
  return at::randn({n, p}, kF32);
}

Tensor Exact(const Tensor& rows) {
  const Tensor wide = rows.to(kF64);
  return at::matmul(wide.t(), wide);
}

Tensor SumOf(const Tensor& rows, GramMath math) {
  GramSum sum(math);
  sum.Add(rows);
  return sum.Take();
}

// The largest error of an entry, relative to the mean of the diagonal.
double Error(const Tensor& sum, const Tensor& exact) {
  return (sum - exact).abs().max().item<double>() / exact.diagonal().mean().item<double>();
}

TEST(GramSum, InFloat32LosesLessThanAMillionthOfTheDiagonal) {
  for (const int64_t p : {7, 96, 700}) {  // below one panel, one panel, several
    const Tensor x = Rows(5000, p);       // several tiles, the last one smaller
    const Tensor sum = SumOf(x, GramMath::kFloat32);
    EXPECT_LT(Error(sum, Exact(x)), 1e-6) << p;
    EXPECT_TRUE(at::equal(sum, sum.t())) << p;
  }
}

TEST(GramSum, InFloat64IsTheSameWhateverTheRowsAreStoredIn) {
  const Tensor x = Rows(3000, 50).to(kBF16);
  EXPECT_TRUE(at::equal(SumOf(x, GramMath::kFloat64), SumOf(x.to(kF64), GramMath::kFloat64)));
  // Rows in float64 are never rounded.
  EXPECT_TRUE(
      at::equal(SumOf(x.to(kF64), GramMath::kFloat32), SumOf(x.to(kF64), GramMath::kFloat64)));
}

// cost.md 3.5: four rows a thousand times as large as the others.
TEST(GramSum, KeepsTheOthersApartFromMassiveRows) {
  Tensor x = Rows(4096, 64);
  const Tensor plain = Exact(x);
  for (const int64_t row : {0, 1024, 2048, 3000}) x[row] *= 1000;
  const Tensor exact = Exact(x);
  Tensor together = at::zeros({64, 64}, kF64);
  for (int64_t begin = 0; begin < 4096; begin += 2048) {
    const Tensor tile = x.narrow(0, begin, 2048);
    together += at::matmul(tile.t(), tile).to(kF64);
  }
  // Against the diagonal of the tokens that are not massive, which their products would drown.
  const double scale = plain.diagonal().mean().item<double>();
  const auto error = [&](const Tensor& sum) {
    return (sum - exact).abs().max().item<double>() / scale;
  };
  EXPECT_LT(error(SumOf(x, GramMath::kFloat32)), 2e-6);
  EXPECT_GT(error(together), 1e-4);
}

TEST(GramSum, FindsMassiveRowsByTheMedianOfTheirTile) {
  Tensor x = at::ones({100, 4}, kF32);
  EXPECT_FALSE(MassiveRows(x).defined());
  EXPECT_FALSE(MassiveRows(at::zeros({5, 4}, kF32)).defined());
  x[3] *= 29, x[7] *= 31;
  const Tensor massive = MassiveRows(x);
  EXPECT_EQ(massive.sum().item<int64_t>(), 1);
  EXPECT_TRUE(massive[7].item<bool>());
}

TEST(GramSum, HandsOnValuesThatAreNotFinite) {
  Tensor x = Rows(10, 4);
  x[2][1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(at::isnan(SumOf(x, GramMath::kFloat32)).any().item<bool>());
  x[2][1] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(at::isfinite(SumOf(x, GramMath::kFloat32)).all().item<bool>());
}

TEST(GramSum, MergesHalves) {
  const Tensor x = Rows(3000, 30);
  GramSum left(GramMath::kFloat32), right(GramMath::kFloat32);
  left.Add(x.narrow(0, 0, 1100));
  right.Add(x.narrow(0, 1100, 1900));
  left.Merge(right);
  EXPECT_LT(Error(left.Take(), Exact(x)), 1e-6);
}

TEST(ProductSum, IsTheProductInEitherMath) {
  const Tensor x = Rows(5000, 40), y = Rows(5000, 30, 8) + 0.1 * x.narrow(1, 0, 30);
  const Tensor exact = at::matmul(x.to(kF64).t(), y.to(kF64));
  const double scale = exact.diagonal().abs().mean().item<double>();
  for (const auto& [math, bound] :
       {std::pair{GramMath::kFloat32, 1e-5}, std::pair{GramMath::kFloat64, 1e-13}}) {
    ProductSum sum(math);
    sum.Add(x.narrow(0, 0, 3000), y.narrow(0, 0, 3000));
    sum.Add(x.narrow(0, 3000, 2000), y.narrow(0, 3000, 2000));
    EXPECT_LT((sum.Take() - exact).abs().max().item<double>() / scale, bound);
  }
}

// A row that is massive on one side alone would drown the others' products as well.
TEST(ProductSum, KeepsTheOthersApartFromMassiveRows) {
  Tensor x = Rows(2000, 16), y = Rows(2000, 16, 8);
  x[5] *= 1e4, y[77] *= 1e4;
  const Tensor exact = at::matmul(x.to(kF64).t(), y.to(kF64));
  const Tensor plain = at::mm(x.t(), y).to(kF64);
  ProductSum sum(GramMath::kFloat32);
  sum.Add(x, y);
  const double error = (sum.Take() - exact).abs().max().item<double>();
  EXPECT_LT(error, 2e-4);  // the products of the others reach 150
  EXPECT_GT((plain - exact).abs().max().item<double>(), 3 * error);
}

TEST(HeadGramSum, IsTheDiagonalBlocksOfTheGram) {
  const Tensor x = Rows(5000, 24);
  HeadGramSum heads(3, GramMath::kFloat32);
  heads.Add(x);
  const Tensor blocks = heads.Take(), exact = Exact(x);
  for (int64_t j = 0; j < 3; ++j) {
    EXPECT_LT(Error(blocks[j], exact.narrow(0, 8 * j, 8).narrow(1, 8 * j, 8)), 1e-6) << j;
  }
}

}  // namespace
}  // namespace condense
