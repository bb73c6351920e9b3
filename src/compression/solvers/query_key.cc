#include "compression/solvers/query_key.h"

#include <algorithm>

#include "base/error.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

constexpr double kRootDelta = 1e-10;  // of mean(diag), so that roots can be inverted

// c_q, c_k: [d_h, d_h].
Tensor UnitScores(const Tensor& c_q, const Tensor& c_k, bool paired, PairScore score) {
  const Tensor a = c_q.diagonal().clamp_min(0), b = c_k.diagonal().clamp_min(0);
  if (!paired) return (a * b).sqrt();
  const int64_t f = c_q.size(-1) / 2;
  const auto first = [f](const Tensor& x) { return x.narrow(0, 0, f); };
  const auto second = [f](const Tensor& x) { return x.narrow(0, f, f); };
  switch (score) {
    case PairScore::kSum: {
      const Tensor single = (a * b).sqrt();
      return first(single) + second(single);
    }
    case PairScore::kNorm:
      return ((first(a) + second(a)) * (first(b) + second(b))).sqrt();
    case PairScore::kExact: {
      const Tensor single = a * b, cross = c_q.diagonal(f) * c_k.diagonal(f);  // [f]
      return (first(single) + second(single) + 2 * cross).clamp_min(0).sqrt();
    }
  }
  return {};
}

// The four f x f quarters of a Gram matrix, restricted to pairs.
struct Quarters {
  Tensor q11, q12, q21, q22;
};

Quarters QuartersOf(const Tensor& c, const Tensor& pairs) {
  const int64_t f = c.size(0) / 2;
  const auto part = [&](int64_t row, int64_t column) {
    return c.narrow(0, row, f).narrow(1, column, f).index_select(0, pairs).index_select(1, pairs);
  };
  return {part(0, 0), part(0, f), part(f, 0), part(f, f)};
}

Tensor Regularised(const Tensor& c) {
  Tensor regular = Symmetrised(c);
  regular.diagonal().add_(kRootDelta * c.diagonal().mean().item<double>());
  return regular;
}

}  // namespace

Tensor QkScores(const Tensor& c_q, const Tensor& c_k, bool paired, PairScore score,
                GroupScore group) {
  CONDENSE_CHECK(c_q.dim() == 3 && c_k.dim() == 2, "C_Q {}, C_K {}", ShapeString(c_q.sizes()),
                 ShapeString(c_k.sizes()));
  if (group == GroupScore::kRss) return UnitScores(c_q.sum(0), c_k, paired, score);
  Tensor sum = UnitScores(c_q[0], c_k, paired, score);
  for (int64_t i = 1; i < c_q.size(0); ++i) sum = sum + UnitScores(c_q[i], c_k, paired, score);
  return sum;
}

double QkSquaredNorm(const Tensor& c_q, const Tensor& c_k) {
  return (c_q * c_k).sum().item<double>();
}

double QkMapError(const Tensor& c_q, const Tensor& c_k, const Tensor& map) {
  // E = I - M: ||Q E K^T||^2 = sum (E^T C_Q E) o C_K.
  const Tensor rest = at::eye(map.size(0), map.options()) - map;
  const double error = QkSquaredNorm(at::matmul(rest.t(), at::matmul(c_q, rest)), c_k);
  return std::max(0.0, error);
}

Indices PairColumns(const Indices& pairs, int64_t head_dim) {
  Indices columns = pairs;
  for (const int64_t pair : pairs) columns.push_back(pair + head_dim / 2);
  return columns;
}

Tensor ComplexGainMap(const Tensor& pairs, int64_t head_dim, const Tensor& scale,
                      const Tensor& turn) {
  const int64_t f = head_dim / 2, k = pairs.size(0);
  Tensor map = at::zeros({head_dim, 2 * k}, scale.options());
  const Tensor columns = at::arange(k, pairs.options());
  map.index_put_({pairs, columns}, scale);
  map.index_put_({pairs, columns + k}, turn);
  map.index_put_({pairs + f, columns}, -turn);
  map.index_put_({pairs + f, columns + k}, scale);
  return map;
}

Gain ComplexGain(const Tensor& c_q, const Tensor& c_k, const Indices& pairs) {
  // Basis: E_p the identity of pair p and F_p its quarter-turn [[0, -1], [1, 0]].
  // M_ij = tr(E_i^T C_Q E_j C_K), r_i = tr(E_i^T C_Q C_K), written out by quarters (C_K symmetric).
  const int64_t head_dim = c_q.size(0), f = head_dim / 2;
  const auto k = static_cast<int64_t>(pairs.size());
  const Tensor kept = IndexTensor(pairs).to(c_q.device());
  const Quarters a = QuartersOf(c_q, kept), b = QuartersOf(c_k, kept);
  const Tensor ee = a.q11 * b.q11 + a.q12 * b.q12 + a.q21 * b.q21 + a.q22 * b.q22;
  const Tensor ef = a.q12 * b.q11 - a.q11 * b.q12 + a.q22 * b.q21 - a.q21 * b.q22;
  const Tensor ff = a.q11 * b.q22 - a.q12 * b.q21 - a.q21 * b.q12 + a.q22 * b.q11;
  const Tensor system = at::cat({at::cat({ee, ef}, 1), at::cat({ef.t(), ff}, 1)}, 0);  // [2k, 2k]
  const Tensor product = at::matmul(c_q, c_k);
  const auto at_pairs = [&](int64_t row, int64_t column) {
    return product.narrow(0, row, f).narrow(1, column, f).diagonal().index_select(0, kept);
  };
  const Tensor right = at::cat({at_pairs(0, 0) + at_pairs(f, f), at_pairs(f, 0) - at_pairs(0, f)});

  Gain gain;
  Tensor ones = at::ones({k}, c_q.options()), turns = at::zeros({k}, c_q.options());
  // A head without queries or keys has nothing to fit; it is left as it is.
  if (system.diagonal().sum().item<double>() > 0) {
    const Factor factor = CholeskyEscalated(system, "normal matrix of query gains");
    const Tensor solution = CholeskySolve(factor, right.unsqueeze(1)).squeeze(1);
    gain.damping = factor.damping;
    ones = solution.narrow(0, 0, k), turns = solution.narrow(0, k, k);
  }
  gain.map = ComplexGainMap(kept, head_dim, ones, -turns);
  return gain;
}

Gain CoreGain(const Tensor& c_q, const Tensor& c_k, const Indices& kept) {
  const Tensor j = IndexTensor(kept).to(c_q.device());
  const auto k = static_cast<int64_t>(kept.size());
  Gain gain{.map = at::zeros({c_q.size(0), k}, c_q.options()), .damping = 0};
  const Tensor rows_q = c_q.index_select(0, j), rows_k = c_k.index_select(0, j);  // [k, d_h]
  const Tensor corner_q = rows_q.index_select(1, j), corner_k = rows_k.index_select(1, j);
  Tensor core = at::eye(k, c_q.options());
  if (corner_q.diagonal().sum().item<double>() > 0 &&
      corner_k.diagonal().sum().item<double>() > 0) {
    const Factor factor_q = CholeskyEscalated(corner_q, "Gram matrix of kept queries");
    const Factor factor_k = CholeskyEscalated(corner_k, "Gram matrix of kept keys");
    gain.damping = std::max(factor_q.damping, factor_k.damping);
    const Tensor cross = at::matmul(rows_q, rows_k.t());  // C_Q,J: C_K,:J
    core = CholeskySolve(factor_k, CholeskySolve(factor_q, cross).t()).t();
  }
  gain.map.index_copy_(0, j, core);
  return gain;
}

QkSubspaces QkBestRank(const Tensor& c_q, const Tensor& c_k) {
  const Roots q = PsdRoots(Regularised(c_q), "Gram matrix of queries");
  const Roots k = PsdRoots(Regularised(c_k), "Gram matrix of keys");
  QkSubspaces result;
  const auto [u, s, vt] = at::linalg_svd(at::matmul(q.root, k.root));
  result.spectrum = s.square();
  if (s[0].item<double>() == 0) {  // no queries or no keys: there is no score to approximate
    result.query = at::eye(c_q.size(0), c_q.options());
    result.key = result.query;
    return result;
  }
  // One sign for both, so that the result does not depend on the routine.
  const Tensor fixed = SignFixedColumns(u);
  const Tensor signs = (fixed * u).sum(0).sign();  // [d_h]
  const Tensor root = s.sqrt();
  result.query = at::matmul(q.inverse_root, fixed * root);
  result.key = at::matmul(k.inverse_root, vt.t() * (signs * root));
  return result;
}

}  // namespace condense
