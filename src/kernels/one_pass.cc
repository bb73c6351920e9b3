#include "kernels/one_pass.h"

#include <array>
#include <cmath>

#include "base/error.h"
#include "kernels/parallel_loops.h"
#include "kernels/vector_math.h"

namespace condense {
namespace {

// Floats that one thread should have at least: below, starting it costs more than it saves.
constexpr int64_t kGrain = 1 << 15;

CONDENSE_WIDE_VECTORS
float SumOfSquares(const float* x, int64_t count) {
  // Independent partial sums, so that the compiler may use vectors.
  constexpr int64_t kLanes = 32;
  std::array<float, kLanes> partial{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) partial[lane] += x[i + lane] * x[i + lane];
  }
  for (int64_t lane = 0; i < count; ++i, ++lane) partial[lane] += x[i] * x[i];
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t lane = 0; lane < half; ++lane) partial[lane] += partial[lane + half];
  }
  return partial[0];
}

CONDENSE_WIDE_VECTORS
void ScaleRow(const float* x, float factor, const float* weight, int64_t count, float* out) {
  if (weight == nullptr) {
    for (int64_t i = 0; i < count; ++i) out[i] = x[i] * factor;
  } else {
    for (int64_t i = 0; i < count; ++i) out[i] = x[i] * factor * weight[i];
  }
}

CONDENSE_WIDE_VECTORS
void RotateRow(const float* __restrict x, const float* __restrict cos, const float* __restrict sin,
               int64_t pairs, float* __restrict out) {
  for (int64_t p = 0; p < pairs; ++p) {
    out[p] = x[p] * cos[p] - x[pairs + p] * sin[p];
    out[pairs + p] = x[pairs + p] * cos[p] + x[p] * sin[p];
  }
}

CONDENSE_WIDE_VECTORS
void SiluTimes(float* __restrict gate, const float* __restrict up, int64_t count) {
  for (int64_t i = 0; i < count; ++i) gate[i] = Silu(gate[i]) * up[i];
}

}  // namespace

bool InPlaceAllowed() { return !at::GradMode::is_enabled(); }

bool OnePassApplies(const Tensor& x) {
  return InPlaceAllowed() && x.is_cpu() && x.scalar_type() == kF32 && x.dim() > 0 &&
         x.stride(-1) == 1 && x.numel() > 0;
}

Tensor RmsNormOnePass(const Tensor& x, const Tensor& weight, double divisor, double eps) {
  const Tensor rows = x.contiguous(), gains = weight.defined() ? weight.contiguous() : weight;
  const int64_t width = x.size(-1);
  CONDENSE_CHECK(!gains.defined() || gains.scalar_type() == kF32, "norm weight of another type");
  Tensor result = at::empty_like(rows);
  const float* in = rows.const_data_ptr<float>();
  const float* gain = gains.defined() ? gains.const_data_ptr<float>() : nullptr;
  float* out = result.mutable_data_ptr<float>();
  const auto count = static_cast<float>(divisor), epsilon = static_cast<float>(eps);
  at::parallel_for(0, x.numel() / width, kGrain / width + 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* from = in + row * width;
      const float factor = 1 / std::sqrt(SumOfSquares(from, width) / count + epsilon);
      ScaleRow(from, factor, gain, width, out + row * width);
    }
  });
  return result;
}

Tensor RotateOnePass(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  const int64_t batch = x.size(0), heads = x.size(1), tokens = x.size(2), width = x.size(3);
  const int64_t pairs = width / 2;
  const Tensor c = cos.contiguous(), s = sin.contiguous();
  CONDENSE_CHECK(c.size(-1) == pairs && c.scalar_type() == kF32, "rotation of another shape");
  // Zero where one table serves all heads.
  const int64_t head_step = c.dim() == 3 && c.size(0) > 1 ? tokens * pairs : 0;
  Tensor result = at::empty({batch, tokens, heads, width}, x.options());
  const float* in = x.const_data_ptr<float>();
  const float* cosines = c.const_data_ptr<float>();
  const float* sines = s.const_data_ptr<float>();
  float* out = result.mutable_data_ptr<float>();
  const int64_t per_token = heads * width;
  at::parallel_for(0, batch * tokens, kGrain / per_token + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t b = i / tokens, t = i % tokens;
      for (int64_t h = 0; h < heads; ++h) {
        const float* from = in + b * x.stride(0) + h * x.stride(1) + t * x.stride(2);
        const int64_t row = h * head_step + t * pairs;
        RotateRow(from, cosines + row, sines + row, pairs, out + i * per_token + h * width);
      }
    }
  });
  return result.transpose(1, 2);
}

void SiluTimesOnePass(const Tensor& gate, const Tensor& up) {
  CONDENSE_CHECK(gate.is_contiguous() && up.is_contiguous() && gate.sizes() == up.sizes(),
                 "{} and {}", ShapeString(gate.sizes()), ShapeString(up.sizes()));
  float* to = gate.mutable_data_ptr<float>();
  const float* from = up.const_data_ptr<float>();
  at::parallel_for(0, gate.numel(), kGrain, [&](int64_t begin, int64_t end) {
    SiluTimes(to + begin, from + begin, end - begin);
  });
}

}  // namespace condense
