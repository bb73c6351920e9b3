// What rotary pairs add to attention logits, centred and weighted for sums of covariances, in one
// pass over the data on the CPU in float32; elsewhere composed of LibTorch's operators.
#pragma once

#include "tensor/tensor.h"

namespace condense {

// With f pairs, query t, key s and pair j, columns j and j + f of queries and keys:
//   e_j  = q_j k_j     + q_{j+f} k_{j+f} - mean_j
//   e'_j = q_j k_{j+f} - q_{j+f} k_j     - mean_{j+f}
// each times root_ts: the root of the attention weight, where the mean is that of e under it.
// queries, means: [n, queries, 2f]; keys: [n, 2f, tokens], of which the first `seen` = root.size(2)
// count; root: [n, queries, seen]. Returns (e, e') as [n, 2f, queries, seen].
Tensor CentredPairTerms(const Tensor& queries, const Tensor& keys, const Tensor& means,
                        const Tensor& root);

}  // namespace condense
