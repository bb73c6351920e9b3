// The mathematics of width methods as pure functions of matrices, in float64, in the row-vector
// orientation of methods.md: y = x W, W is [in, out]. Nothing here knows of blocks or files.
//
// One solver stands once and serves every method: refits (1.2), backward elimination (5.7), pair
// selection and gains (1.3), value/output subspaces (1.4). Sources: Lin et al., MoDeGPT, arXiv
// 2408.09632; Frantar & Alistarh, OBC, arXiv 2208.11580; statements marked in methods.md.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace condense {

using Indices = std::vector<int64_t>;  // ascending unless said otherwise

// --- Gram matrices -------------------------------------------------------------------------------

// Gram matrix of rows x - shift, from the Gram matrix [p, p] and the mean [p] of x over `tokens`
// rows. With shift = mean: the centred Gram matrix.
Tensor ShiftedGram(const Tensor& c, const Tensor& mean, const Tensor& shift, int64_t tokens);

// --- MLP: refit of the consumer matrix on kept channels (1.2) ------------------------------------

struct RefitResult {
  Tensor weight;             // [k, out]
  double damping = 0;        // absolute, that the factorisation needed beyond what was asked for
  double condition = 1;      // of the matrix that was solved: a lower bound
  double squared_error = 0;  // ||H W - H_J W'||_F^2 on the calibration set
  double squared_norm = 0;   // ||H W||_F^2
};
// Least squares on kept channels: argmin_B ||H W - H_J B||, C = H^T H [m, m], W [m, out].
// min_norm: C_JJ^+ C_J: W.
RefitResult RefitMinNorm(const Tensor& c, const Tensor& w, const Indices& kept);
// delta: W[J] + (C_JJ + mu I)^-1 C_JD W[D], mu = relative_mu * mean(diag C_JJ); pulls towards the
// original rows. Dead channels (C_jj = 0) among the kept ones get no correction. Where C_JJ is
// singular to working precision and mu = 0, 1e-10 mean(diag C_JJ) is added and reported as damping,
// so that directions without data stay as they were.
RefitResult RefitDelta(const Tensor& c, const Tensor& w, const Indices& kept, double relative_mu);

// W[J] as it is, with the error that this makes.
RefitResult NoRefit(const Tensor& c, const Tensor& w, const Indices& kept);

// Least squares for the second of two factors: argmin_B ||X W - X A B||^2 + ridge ||B - start||^2,
// C = X^T X [in, in], A [in, k], W [in, out], start [k, out]; ridge and damping as RefitDelta's.
RefitResult RefitSecondFactor(const Tensor& c, const Tensor& a, const Tensor& w,
                              const Tensor& start, double relative_mu);

struct InverseDiagonal {
  Tensor values;  // [m]
  double damping = 0;
};
// Ridge leverage as t_j = [(C + lambda I)^-1]_jj: small is important. The leverage itself is
// 1 - lambda t_j, which loses the digits that decide. No inverse is formed.
InverseDiagonal RidgeInverseDiagonal(const Tensor& c, double lambda);

// --- Backward elimination (5.7) ------------------------------------------------------------------

struct Elimination {
  Indices order;       // channels in the order of their removal: nested, one run serves every width
  Tensor costs;        // [count]: increase of ||H W - H_J W'||^2 by each removal
  double damping = 0;  // absolute, with what was asked for
};
struct EliminationOptions {
  double relative_damping = 1e-6;  // of mean(diag C)
  // Channels removed in one update of the inverse. The 4 x drop_block cheapest are candidates;
  // among them the removal is greedy and exact. 1 is the exact greedy elimination.
  int64_t drop_block = 32;
};
// Removes `count` of the channels of W [m, out], each time the one whose loss costs least once all
// others have adapted. C = H^T H [m, m].
Elimination EliminateBackward(const Tensor& c, const Tensor& w, int64_t count,
                              const EliminationOptions& options);
// The same for groups of channels, one group at a time: units [groups, r] int64, disjoint. The
// order is one of groups.
Elimination EliminateGroups(const Tensor& c, const Tensor& w, const Tensor& units, int64_t count,
                            double relative_damping);

// --- Query/key (1.3) -----------------------------------------------------------------------------

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

// --- Value/output (1.4) --------------------------------------------------------------------------

// Factors for the columns of a value subspace [d_h, k] that give each channel the root mean square
// of the dense ones; c_v: Gram matrix of the values. A direction in which there are no data has no
// energy to go by; it gets unit length.
Tensor ValueBalance(const Tensor& c_v, const Tensor& subspace, double relative_delta);

struct ValueOptions {
  bool joint = true;    // all query heads of the group together; false: eigenvectors of C_V alone
  bool balance = true;  // keep the root mean square of the dense value channels
  double relative_delta = 1e-10;
};
struct ValueSubspace {
  Tensor value;                // T: [d_h, k]; W_V' = W_V T
  std::vector<Tensor> output;  // W_O' of each query head of the group: [k, d]
  double squared_error = 0;    // sum over the group of ||X W_V W_O - X W_V' W_O'||_F^2
};
// The value subspaces of one key/value head, for every rank.
class ValueSubspaces {
 public:
  // c_v: [d_h, d_h] Gram matrix of the values; w_o: W_O of each query head of the group [d_h, d].
  ValueSubspaces(const Tensor& c_v, std::vector<Tensor> w_o, const ValueOptions& options);

  // Squared error that each further direction would remove: [d_h], in the order of keeping.
  const Tensor& spectrum() const { return spectrum_; }
  double squared_norm() const { return squared_norm_; }
  bool dead() const { return dead_; }  // C_V = 0: the first channels are kept as they are
  ValueSubspace Keep(int64_t k) const;

 private:
  ValueOptions options_;
  Tensor c_v_;
  std::vector<Tensor> w_o_;
  Tensor value_;   // [d_h, d_h] columns in order of importance
  Tensor output_;  // [d_h, d_h]: its rows applied to W_O
  Tensor spectrum_;
  double squared_norm_ = 0;
  bool dead_ = false;
};

// --- Index helpers -------------------------------------------------------------------------------

// The k smallest / largest entries, ties to the lower index, returned ascending.
Indices SmallestIndices(const Tensor& scores, int64_t k);
Indices LargestIndices(const Tensor& scores, int64_t k);
Indices Complement(const Indices& kept, int64_t count);
Tensor IndexTensor(const Indices& indices);  // int64, on the CPU
// Shares `total` units among heads, in steps of `step`, so that together they gain most (ties: more
// to lower heads). gains[j]: gains of head j's units in the order in which it takes them. Every
// head gets at least one step. The widths are multiples of `step`.
std::vector<int64_t> PooledWidths(const std::vector<Tensor>& gains, int64_t total, int64_t step);

}  // namespace condense
