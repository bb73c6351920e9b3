// Selection of query/key columns, and gains and subspaces that make up for the loss
// (methods.md 1.3).
//
// Q, K: queries and keys of one head over the calibration tokens; C_Q = Q^T Q, C_K = K^T K. Errors
// are over all pairs of tokens, a proxy for the causal ones.
#pragma once

#include <cstdint>

#include "compression/solvers/indices.h"
#include "tensor/tensor.h"

namespace condense {

enum class PairScore { kSum, kNorm, kExact };
enum class GroupScore { kRss, kSum };
// Scores of one key/value head's units: with `paired` the f = d_h / 2 rotary pairs {p, p + f}, else
// the single dimensions (`score` is ignored then). c_q: Gram matrices of the group's query heads
// [g, d_h, d_h]; c_k: [d_h, d_h].
Tensor QkScores(const Tensor& c_q, const Tensor& c_k, bool paired, PairScore score,
                GroupScore group);
// ||Q K^T - Q M K^T||_F^2 of one query head, over all pairs of tokens. map: M [d_h, d_h].
double QkMapError(const Tensor& c_q, const Tensor& c_k, const Tensor& map);
// ||Q K^T||_F^2.
double QkSquaredNorm(const Tensor& c_q, const Tensor& c_k);
// The columns of the kept pairs: pairs, then pairs + f.
Indices PairColumns(const Indices& pairs, int64_t head_dim);

// The map [d_h, 2k] that turns q of kept pairs into scale q + turn r, r = (-q_{j+f}, q_j): columns
// as PairColumns() orders them. Such maps, and no others, commute with the rotation. pairs: [k]
// int64; scale, turn: [k].
Tensor ComplexGainMap(const Tensor& pairs, int64_t head_dim, const Tensor& scale,
                      const Tensor& turn);

struct Gain {
  Tensor map;          // [d_h, k]: W_Q' = W_Q map; its rows outside the kept columns are zero
  double damping = 0;  // absolute
};
// Least-squares gains [[a, -b], [b, a]] of one query head for kept rotary pairs; columns as
// PairColumns() orders them. They commute with the rotation, so they may be folded into W_Q.
Gain ComplexGain(const Tensor& c_q, const Tensor& c_k, const Indices& pairs);
// Without RoPE: C_Q,JJ^-1 C_Q,J: C_K,:J C_K,JJ^-1 on the kept columns.
Gain CoreGain(const Tensor& c_q, const Tensor& c_k, const Indices& kept);

// Without RoPE: the best pair of every rank k, in the first k columns.
struct QkSubspaces {
  Tensor query, key;  // [d_h, d_h]: W_Q' = W_Q query[:, :k], W_K' = W_K key[:, :k]
  Tensor spectrum;  // [d_h] squared singular values of the scores; the error of rank k is the tail
};
// c_q: [d_h, d_h], summed over the query heads of the group.
QkSubspaces QkBestRank(const Tensor& c_q, const Tensor& c_k);

}  // namespace condense
