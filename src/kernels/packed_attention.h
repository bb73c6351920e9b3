// Attention of sequences that are packed one after the other and may share beginnings, in one pass:
// rotation, scores, softmax and mix of values without intermediate tensors. For inference in
// float32 on the CPU; where OnePassApplies() is false the caller composes LibTorch's operators.
//
// Tokens that follow each other form a run, and a run continues another: a forest, whose runs are
// listed in preorder. A token attends to its predecessors in its own run and to all of the runs
// that it continues. In preorder the keys of the present path can be kept by position: a run writes
// over what its siblings wrote and finds its ancestors in place, so each key is rotated once and
// every query reads one contiguous panel, however the sequences branch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace condense {

// Rows [begin, end) of keys and values.
struct TokenRun {
  int64_t begin = 0, end = 0;
  int64_t parent = -1;   // index of the run that it continues, which comes earlier; -1: none
  int64_t position = 0;  // of its first token in the sequence: the tokens of its ancestors
  int64_t first_query =
      0;                  // tokens [first_query, end) ask; begin, unless only the last ones matter
  int64_t query_row = 0;  // row of the first of them among queries and in the result
};

// A key/value head and the query heads that it serves; where their columns begin.
struct PackedHead {
  int64_t queries = 1, qk_width = 0, vo_width = 0;
  int64_t q = 0, k = 0, v = 0, out = 0;
  int64_t pair = 0;  // first column of its rotary pairs in cos and sin
};

// q: [query rows, *], k, v: [rows, *]; cos, sin: [positions, *], undefined without rotary
// positions. Returns [query rows, columns of all heads].
Tensor PackedAttention(const Tensor& q, const Tensor& k, const Tensor& v,
                       std::span<const PackedHead> heads, double scale,
                       std::span<const TokenRun> runs, const Tensor& cos, const Tensor& sin);

}  // namespace condense
