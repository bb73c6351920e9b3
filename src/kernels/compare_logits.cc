#include "kernels/compare_logits.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "kernels/parallel_loops.h"
#include "kernels/vector_math.h"

namespace condense {
namespace {

constexpr int64_t kLanes = 16;   // independent partial sums, so that the compiler may use vectors
constexpr int64_t kBlock = 256;  // ids handled together
constexpr int64_t kTop = 5;
constexpr float kLowest = -std::numeric_limits<float>::infinity();

// Comparisons of floats may trap, so compilers do not vectorise them; these integers have the same
// order. What is not a number comes above or below everything.
CONDENSE_INLINE int32_t Ordered(float x) {
  const auto bits = std::bit_cast<int32_t>(x);
  return bits ^ ((bits >> 31) & 0x7FFFFFFF);
}

CONDENSE_WIDE_VECTORS
int32_t LargestOfBlock(const float* x) {
  int32_t largest = std::numeric_limits<int32_t>::min();
  for (int64_t i = 0; i < kBlock; ++i) largest = std::max(largest, Ordered(x[i]));
  return largest;
}

// The five largest values in descending order; of equal ones the lowest id comes first.
struct TopFive {
  std::array<float, kTop> value;
  std::array<int64_t, kTop> id;

  TopFive() {
    value.fill(kLowest);
    id.fill(-1);
  }
  void Offer(float x, int64_t at) {
    if (!(x > value.back())) return;
    int64_t place = kTop - 1;
    for (; place > 0 && x > value[place - 1]; --place) {
      value[place] = value[place - 1];
      id[place] = id[place - 1];
    }
    value[place] = x;
    id[place] = at;
  }
};

TopFive TopOf(const float* x, int64_t count) {
  TopFive top;
  int64_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    if (LargestOfBlock(x + i) <= Ordered(top.value.back())) continue;
    for (int64_t j = i; j < i + kBlock; ++j) top.Offer(x[j], j);
  }
  for (; i < count; ++i) top.Offer(x[i], i);
  return top;
}

int64_t CommonIds(const TopFive& a, const TopFive& b) {
  int64_t common = 0;
  for (const int64_t id : a.id) common += id >= 0 && std::count(b.id.begin(), b.id.end(), id);
  return common;
}

float LargestOf(const float* x, int64_t count) {
  float largest = kLowest;
  int64_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    // The order of integers is turned back into the one of floats by the same operation.
    largest = std::max(largest,
                       std::bit_cast<float>(Ordered(std::bit_cast<float>(LargestOfBlock(x + i)))));
  }
  for (; i < count; ++i) largest = std::max(largest, x[i]);
  return largest;
}

struct RowSums {
  double p = 0, q = 0;    // sum of e^(a - max a), of e^(b - max b)
  double difference = 0;  // sum of e^(a - max a) ((a - max a) - (b - max b))
};

CONDENSE_WIDE_VECTORS
void AddWeights(const float* __restrict a, const float* __restrict b, float max_a, float max_b,
                float* __restrict p, float* __restrict q, float* __restrict difference) {
  for (int64_t i = 0; i < kBlock; ++i) {
    const float x = a[i] - max_a, y = b[i] - max_b;
    p[i] = ExpOfNegative(x);
    q[i] = ExpOfNegative(y);
    difference[i] = p[i] * (x - y);
  }
}

CONDENSE_WIDE_VECTORS
double SumOf(const float* x) {
  std::array<double, kLanes> partial{};
  for (int64_t i = 0; i < kBlock; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) partial[lane] += x[i + lane];
  }
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t lane = 0; lane < half; ++lane) partial[lane] += partial[lane + half];
  }
  return partial[0];
}

RowSums SumsOf(const float* a, const float* b, float max_a, float max_b, int64_t count) {
  std::array<float, kBlock> p, q, difference;
  RowSums sums;
  int64_t i = 0;
  const auto add = [&](const float* block_a, const float* block_b) {
    AddWeights(block_a, block_b, max_a, max_b, p.data(), q.data(), difference.data());
    sums.p += SumOf(p.data()), sums.q += SumOf(q.data());
    sums.difference += SumOf(difference.data());
  };
  for (; i + kBlock <= count; i += kBlock) add(a + i, b + i);
  for (; i < count; ++i) {
    const float x = a[i] - max_a, y = b[i] - max_b, weight = ExpOfNegative(x);
    sums.p += weight, sums.q += ExpOfNegative(y);
    sums.difference += weight * (x - y);
  }
  return sums;
}

double DivergenceOfRow(const float* a, const float* b, int64_t count) {
  const RowSums sums = SumsOf(a, b, LargestOf(a, count), LargestOf(b, count), count);
  return sums.difference / sums.p - (std::log(sums.p) - std::log(sums.q));
}

LogitComparison CompareRow(const float* a, const float* b, int64_t target, int64_t count) {
  const TopFive top_a = TopOf(a, count), top_b = TopOf(b, count);
  const float max_a = top_a.value.front(), max_b = top_b.value.front();
  const RowSums sums = SumsOf(a, b, max_a, max_b, count);
  const double log_sum_p = std::log(sums.p), log_sum_q = std::log(sums.q);
  return {.divergence = sums.difference / sums.p - (log_sum_p - log_sum_q),
          .log_p = static_cast<double>(a[target]) - max_a - log_sum_p,
          .log_q = static_cast<double>(b[target]) - max_b - log_sum_q,
          .same_top = top_a.id.front() == top_b.id.front(),
          .common_top5 = CommonIds(top_a, top_b)};
}

Tensor Rows(const Tensor& logits) {
  const Tensor wide = logits.to(kF32);
  return wide.stride(1) == 1 ? wide : wide.contiguous();
}

}  // namespace

std::vector<LogitComparison> CompareLogits(const Tensor& a, const Tensor& b,
                                           const Tensor& targets) {
  CONDENSE_CHECK(a.sizes() == b.sizes() && a.dim() == 2 && a.size(0) == targets.numel(),
                 "{}, {}, {} targets", ShapeString(a.sizes()), ShapeString(b.sizes()),
                 targets.numel());
  if (!a.is_cpu() || !b.is_cpu()) return CompareLogitsComposed(a, b, targets);
  const Tensor rows_a = Rows(a), rows_b = Rows(b), wanted = targets.cpu().contiguous();
  const int64_t count = a.size(1);
  const float* from_a = rows_a.const_data_ptr<float>();
  const float* from_b = rows_b.const_data_ptr<float>();
  const int64_t* target = wanted.const_data_ptr<int64_t>();
  std::vector<LogitComparison> result(static_cast<size_t>(a.size(0)));
  at::parallel_for(0, a.size(0), (1 << 14) / count + 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      result[static_cast<size_t>(row)] = CompareRow(
          from_a + row * rows_a.stride(0), from_b + row * rows_b.stride(0), target[row], count);
    }
  });
  return result;
}

std::vector<LogitComparison> CompareLogitsComposed(const Tensor& a, const Tensor& b,
                                                   const Tensor& targets) {
  const Tensor log_p = a.log_softmax(-1, kF32), log_q = b.log_softmax(-1, kF32);
  const auto to_host = [](const Tensor& x) { return x.cpu().contiguous(); };
  const Tensor divergence = to_host((log_p.exp() * (log_p - log_q)).sum(-1, false, kF64));
  const auto of_target = [&](const Tensor& x) {
    return to_host(x.gather(1, targets.to(x.device()).unsqueeze(1)).squeeze(1).to(kF64));
  };
  const Tensor target_p = of_target(log_p), target_q = of_target(log_q);
  const Tensor same_top = to_host(log_p.argmax(-1) == log_q.argmax(-1));
  const auto top_ids = [](const Tensor& x) {
    return std::get<1>(x.topk(std::min(kTop, x.size(1)), -1));
  };
  const Tensor common = to_host(
      (top_ids(log_p).unsqueeze(2) == top_ids(log_q).unsqueeze(1)).flatten(1).sum(-1, false, kI64));
  std::vector<LogitComparison> result(static_cast<size_t>(a.size(0)));
  for (size_t row = 0; row < result.size(); ++row) {
    result[row] = {.divergence = divergence.const_data_ptr<double>()[row],
                   .log_p = target_p.const_data_ptr<double>()[row],
                   .log_q = target_q.const_data_ptr<double>()[row],
                   .same_top = same_top.const_data_ptr<bool>()[row],
                   .common_top5 = common.const_data_ptr<int64_t>()[row]};
  }
  return result;
}

double SumOfDivergences(const Tensor& a, const Tensor& b) {
  CONDENSE_CHECK(a.sizes() == b.sizes() && a.dim() == 2, "{}, {}", ShapeString(a.sizes()),
                 ShapeString(b.sizes()));
  if (!a.is_cpu() || !b.is_cpu()) {
    const Tensor log_p = a.log_softmax(-1, kF32), log_q = b.log_softmax(-1, kF32);
    return (log_p.exp() * (log_p - log_q)).sum(-1, false, kF64).sum().item<double>();
  }
  const Tensor rows_a = Rows(a), rows_b = Rows(b);
  const int64_t count = a.size(1);
  const float* from_a = rows_a.const_data_ptr<float>();
  const float* from_b = rows_b.const_data_ptr<float>();
  std::vector<double> of_row(static_cast<size_t>(a.size(0)));
  at::parallel_for(0, a.size(0), (1 << 14) / count + 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      of_row[static_cast<size_t>(row)] =
          DivergenceOfRow(from_a + row * rows_a.stride(0), from_b + row * rows_b.stride(0), count);
    }
  });
  return std::accumulate(of_row.begin(), of_row.end(), 0.0);
}

}  // namespace condense
