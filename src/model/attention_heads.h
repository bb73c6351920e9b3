// Heads of an attention module as batches: neighbouring key/value heads of equal shape, and the
// query heads that they serve, are computed together.
#pragma once

#include <vector>

#include "model/model_config.h"
#include "model/rope.h"
#include "tensor/tensor.h"

namespace condense {

// Neighbouring key/value heads of equal shape.
struct HeadRun {
  HeadConfig head;
  int64_t count = 0;                              // key/value heads
  int64_t q_begin = 0, k_begin = 0, v_begin = 0;  // first columns

  int64_t query_heads() const { return count * head.queries; }
};
std::vector<HeadRun> RunsOf(const std::vector<HeadConfig>& heads);

// [batch, tokens, heads * width from `begin` on] -> [batch, heads, tokens, width], and back.
Tensor SplitHeads(const Tensor& x, int64_t begin, int64_t heads, int64_t width);
Tensor MergeHeads(const Tensor& x);
// The heads of all runs side by side: [batch, tokens, columns].
Tensor JoinRuns(const std::vector<Tensor>& runs);

// The rotations of the heads of a run, taken from a table of all pairs of the dense head:
// [..., tokens, pairs] -> [..., heads or 1, tokens, pairs of a head]. rope_pairs: as in Attention.
// repetitions: 1 for keys; for queries, the number of query heads per key/value head.
RopeTable OfHeads(const RopeTable& table, const Tensor& rope_pairs, const HeadRun& run,
                  int64_t repetitions);

}  // namespace condense
