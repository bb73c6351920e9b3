// Narrowing of queries and keys by linear maps of the columns of each head: selections, gains and
// subspaces alike (methods.md 1.3). The methods choose the maps.
#pragma once

#include <vector>

#include "compression/solvers/query_key.h"
#include "model/block.h"

namespace condense {

// Equation orientation: W_Q' = W_Q query[i] for each query head of the group, W_K' = W_K key.
struct HeadMaps {
  Indices units;                // kept: rotary pairs, or columns without RoPE; empty for subspaces
  Indices columns;              // kept columns, where the key map only selects
  bool selects_queries = true;  // the query maps are selections too
  std::vector<Tensor> query;    // [d_h, k] each
  Tensor key;                   // [d_h, k]
  double damping = 0;
};

// The map that keeps some columns of a head.
Tensor SelectionMap(const Indices& columns, int64_t width, const at::TensorOptions& options);

// Replaces the query and key projections of `attention`, dense so far with heads of `width`; one
// entry of `maps` for each key/value head. Selections copy rows bit for bit.
void ApplyQueryKeyMaps(const std::vector<HeadMaps>& maps, int64_t width, bool rotary,
                       Attention& attention);

}  // namespace condense
