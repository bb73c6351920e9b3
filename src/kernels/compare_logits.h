// Two models' logits of the same positions, compared row by row (protocols.md 4).
//
// Composed of LibTorch's operators this takes more than ten passes over [positions, vocabulary],
// each as slow as memory. On the CPU a row of both is compared while it is in cache: one pass for
// the largest, one for the sums.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace condense {

struct LogitComparison {
  double divergence = 0;        // sum_v p_v (log p_v - log q_v)
  double log_p = 0, log_q = 0;  // of the target
  bool same_top = false;        // the argmax is the same; ties: lowest id
  int64_t common_top5 = 0;      // size of the common part of the two top fives
};

// p = softmax of a row of `a`, q of `b`: [rows, vocabulary], any floating type; targets: [rows]
// int64. Exponentials in float32, sums in float64. A row that holds a value that is not finite has
// a divergence that is not finite; rounding may leave one slightly below zero.
std::vector<LogitComparison> CompareLogits(const Tensor& a, const Tensor& b, const Tensor& targets);

// The same out of LibTorch's operators, on any device.
std::vector<LogitComparison> CompareLogitsComposed(const Tensor& a, const Tensor& b,
                                                   const Tensor& targets);

// The sum over rows of the divergence alone, on any device.
double SumOfDivergences(const Tensor& a, const Tensor& b);

}  // namespace condense
