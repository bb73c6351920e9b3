// The mathematics of width methods as pure functions of matrices, in float64, in the row-vector
// orientation of methods.md: y = x W, W is [in, out]. Nothing here knows of blocks or files.
//
// One solver stands once and serves every method: refits (1.2), pair selection and gains (1.3),
// value/output subspaces (1.4). Sources: Lin et al., MoDeGPT, arXiv 2408.09632; statements marked
// in methods.md.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tensor/tensor.h"

namespace condense {

using Indices = std::vector<int64_t>;  // ascending

// --- MLP: refit of the consumer matrix on kept channels (1.2)
// --------------------------------------

struct RefitResult {
  Tensor weight;             // [k, out]
  double damping = 0;        // absolute
  double squared_error = 0;  // ||H W - H_J W'||_F^2 on the calibration set
  double squared_norm = 0;   // ||H W||_F^2
};
// Least squares on kept channels: argmin_B ||H W - H_J B||, C = H^T H [m, m], W [m, out].
// min_norm: C_JJ^+ C_J: W.
RefitResult RefitMinNorm(const Tensor& c, const Tensor& w, const Indices& kept);
// delta: W[J] + (C_JJ + mu I)^-1 C_JD W[D], mu = relative_mu * mean(diag C_JJ); pulls towards the
// original rows. Dead channels (C_jj = 0) among the kept ones get no correction.
RefitResult RefitDelta(const Tensor& c, const Tensor& w, const Indices& kept, double relative_mu);

// Ridge leverage, as t_j = [(C + lambda I)^-1]_jj (small is important): [m].
Tensor RidgeInverseDiagonal(const Tensor& c, double lambda, double* damping);

// --- Query/key (1.3)
// -------------------------------------------------------------------------------

enum class PairScore { kSum, kNorm, kExact };
enum class GroupScore { kRss, kSum };
// Scores of one key/value head's units: with `paired` the f = d_h / 2 rotary pairs {p, p + f}, else
// the single dimensions. c_q: Gram matrices of the group's query heads [g, d_h, d_h]; c_k: [d_h,
// d_h].
Tensor QkScores(const Tensor& c_q, const Tensor& c_k, bool paired, PairScore score,
                GroupScore group);
// ||Q_D K_D^T||_F^2 summed over the group: exact error of dropping columns D.
double QkDroppedError(const Tensor& c_q, const Tensor& c_k, const Indices& dropped);
// Least-squares gains for kept pairs of one query head: returns [2, |pairs|]: a and b of [[a, -b],
// [b, a]].
Tensor ComplexGains(const Tensor& c_q, const Tensor& c_k, const Indices& pairs);
// Core matrix folded into W_Q[:, J]: C_Q,JJ^-1 C_Q,J: C_K,:J C_K,JJ^-1, [k, k].
Tensor CoreGain(const Tensor& c_q, const Tensor& c_k, const Indices& kept);
struct QkSubspaces {
  Tensor query, key;  // [d_h, k]: W_Q' = W_Q query, W_K' = W_K key
  double squared_error = 0, squared_norm = 0;
};
// Best rank-k pair without RoPE, for the group: C_Q summed over the group's heads.
QkSubspaces QkBestRank(const Tensor& c_q, const Tensor& c_k, int64_t k);

// --- Value/output (1.4)
// ----------------------------------------------------------------------------

struct ValueSubspace {
  Tensor value;                // T B: [d_h, k]; W_V' = W_V value
  std::vector<Tensor> output;  // W_O' of each query head of the group: [k, d]
  Tensor spectrum;             // squared singular values, descending [d_h]
  double squared_error = 0, squared_norm = 0;
  double damping = 0;
  bool dead = false;  // C_V = 0: the first k channels were kept unrefitted
};
struct ValueOptions {
  bool joint = true;    // all heads of the group together; false: eigenvectors of C_V alone
  bool balance = true;  // keep the root mean square of the dense value channels
  double relative_delta = 1e-10;
};
// c_v: [d_h, d_h] Gram matrix of the values, tokens: N; w_o: W_O of each query head of the group
// [d_h, d].
ValueSubspace SolveValueSubspace(const Tensor& c_v, int64_t tokens, const std::vector<Tensor>& w_o,
                                 int64_t k, const ValueOptions& options);
// Least-squares output matrix over all heads together (vo_refit: joint_heads). c: Gram matrix of
// the value mix [n_h d_h]^2; f: blockdiag of the subspaces [n_h d_h, sum k]; w_o [n_h d_h, d];
// start [sum k, d].
Tensor JointHeadsRefit(const Tensor& c, const Tensor& f, const Tensor& w_o, const Tensor& start,
                       double relative_mu);

// --- Index helpers
// ---------------------------------------------------------------------------------

// The k smallest / largest entries, ties to the lower index, returned ascending.
Indices SmallestIndices(const Tensor& scores, int64_t k);
Indices LargestIndices(const Tensor& scores, int64_t k);
Indices Complement(const Indices& kept, int64_t count);
Tensor IndexTensor(const Indices& indices);

}  // namespace condense
