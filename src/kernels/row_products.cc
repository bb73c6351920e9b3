#include "kernels/row_products.h"

#include <array>

#include "base/error.h"
#include "kernels/one_pass.h"
#include "kernels/parallel_loops.h"
#include "kernels/vector_math.h"

namespace condense {
namespace {

// Floats that one thread should have at least: below, starting it costs more than it saves.
constexpr int64_t kGrain = 1 << 15;
constexpr int64_t kLanes = 16;  // independent partial sums, so that the compiler may use vectors

CONDENSE_INLINE double SumOf(const std::array<double, kLanes>& partial) {
  double sum = 0;
  for (const double value : partial) sum += value;
  return sum;
}

CONDENSE_WIDE_VECTORS
void Products(const float* __restrict x, const float* __restrict y, int64_t width,
              double* __restrict out) {
  std::array<double, kLanes> left{}, right{}, both{};
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const double a = x[i + lane], b = y[i + lane];
      left[lane] += a * a;
      right[lane] += b * b;
      both[lane] += a * b;
    }
  }
  for (int64_t lane = 0; i < width; ++i, ++lane) {
    const double a = x[i], b = y[i];
    left[lane] += a * a;
    right[lane] += b * b;
    both[lane] += a * b;
  }
  out[0] = SumOf(left), out[1] = SumOf(right), out[2] = SumOf(both);
}

}  // namespace

RowProducts ProductsOfRows(const Tensor& x, const Tensor& y) {
  CONDENSE_CHECK(x.dim() == 2 && x.sizes() == y.sizes(), "rows {} and {}", ShapeString(x.sizes()),
                 ShapeString(y.sizes()));
  if (!OnePassApplies(x) || !OnePassApplies(y)) {
    const Tensor a = x.to(kF64), b = y.to(kF64);
    return {a.square().sum(1), b.square().sum(1), (a * b).sum(1)};
  }
  const int64_t width = x.size(1);
  Tensor result = at::empty({x.size(0), 3}, x.options().dtype(kF64));
  const float* left = x.const_data_ptr<float>();
  const float* right = y.const_data_ptr<float>();
  double* out = result.mutable_data_ptr<double>();
  at::parallel_for(0, x.size(0), kGrain / width + 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      Products(left + row * x.stride(0), right + row * y.stride(0), width, out + 3 * row);
    }
  });
  return {result.select(1, 0), result.select(1, 1), result.select(1, 2)};
}

}  // namespace condense
