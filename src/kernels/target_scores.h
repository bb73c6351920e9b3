// Log-probabilities of chosen ids among logits.
//
// Composed of LibTorch's operators this takes five passes over [rows, vocabulary]. On the CPU a row
// is read twice while it is in cache, however many of its ids are asked for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace condense {

struct RowTarget {
  int64_t row = 0, id = 0;
};

struct TargetScore {
  double log_prob = 0;
  bool greedy = false;  // the id is the argmax of its row; ties: lowest id
};

// logits: [rows, vocabulary], any floating type. Exponentials in float32. A row that holds a value
// that is not finite gives scores that are not finite.
std::vector<TargetScore> ScoreRowTargets(const Tensor& logits, std::span<const RowTarget> targets);

// The same out of LibTorch's operators, on any device.
std::vector<TargetScore> ScoreRowTargetsComposed(const Tensor& logits,
                                                 std::span<const RowTarget> targets);

}  // namespace condense
