#include "kernels/elimination_block.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/error.h"
#include "kernels/parallel_loops.h"
#include "kernels/vector_math.h"

namespace condense {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
// Multiplications that are worth another thread.
constexpr int64_t kWorkOfThread = 1 << 16;

EliminationBlock Empty(const Tensor& pair, int64_t steps) {
  const int64_t n = pair.size(0);
  CONDENSE_CHECK(pair.dim() == 2 && pair.scalar_type() == kF64 && pair.size(1) == n + 1 &&
                     pair.stride(1) == 1 && steps >= 1 && steps <= n,
                 "{} steps in {}", steps, ShapeString(pair.sizes()));
  const auto vector = [&] { return at::zeros({steps}, pair.options()); };
  return {.u = at::zeros({n, steps}, pair.options()),
          .v = at::zeros({n, steps}, pair.options()),
          .g = vector(),
          .a = vector(),
          .costs = vector(),
          .positions = at::zeros({steps}, pair.options().dtype(kI64))};
}

// What one removal after t others works on.
struct Step {
  const double* pair;
  int64_t stride;  // of its rows
  double *u, *v;   // rows of `steps`
  int64_t steps;
  double *dh, *dp, *costs;  // [n]

  int64_t j, t;
  // Rows of j, before this removal: g u_j, u_j, and v_j - a u_j.
  const double *gu, *uj, *vj;
};

// H_ij and P_ij before all removals of the block.
CONDENSE_INLINE double OfInverse(const Step& s, int64_t i) {
  return i <= s.j ? s.pair[s.j * s.stride + i] : s.pair[i * s.stride + s.j];
}
CONDENSE_INLINE double OfProducts(const Step& s, int64_t i) {
  return i >= s.j ? s.pair[s.j * s.stride + i + 1] : s.pair[i * s.stride + s.j + 1];
}

// H_ij and P_ij now.
struct Entry {
  double h, p;
};
CONDENSE_INLINE Entry Now(const Step& s, int64_t i) {
  const double* u = s.u + i * s.steps;
  const double* v = s.v + i * s.steps;
  double h = 0, p = 0;
#pragma omp simd reduction(+ : h, p)
  for (int64_t k = 0; k < s.t; ++k) {
    h += u[k] * s.gu[k];
    p += u[k] * s.vj[k] + v[k] * s.uj[k];
  }
  return {.h = OfInverse(s, i) - h, .p = OfProducts(s, i) - p};
}

CONDENSE_WIDE_VECTORS
Entry EntryOf(const Step& s, int64_t i) { return Now(s, i); }

CONDENSE_INLINE double Cost(double p, double h) { return h > 0 ? std::max(0.0, p) / h : kNever; }

// Rows begin ... end - 1 of the new columns, and the diagonals.
CONDENSE_WIDE_VECTORS
void Rows(const Step& s, double g, double a, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    const Entry entry = Now(s, i);
    const double u = entry.h / g;
    s.u[i * s.steps + s.t] = u;
    s.v[i * s.steps + s.t] = entry.p;
    s.dh[i] -= entry.h * u;
    s.dp[i] += u * (a * u - 2 * entry.p);
    s.costs[i] = s.costs[i] < 0 ? -1 : Cost(s.dp[i], s.dh[i]);
  }
}

// The position with the least cost; negative costs are of what is gone.
int64_t Cheapest(const double* costs, const int64_t* channels, int64_t n) {
  int64_t best = -1;
  for (int64_t i = 0; i < n; ++i) {
    if (costs[i] < 0) continue;
    if (best < 0 || costs[i] < costs[best] ||
        (costs[i] == costs[best] && channels[i] < channels[best])) {
      best = i;
    }
  }
  return best;
}

}  // namespace

EliminationBlock EliminateBlock(const Tensor& pair, const Tensor& channels, int64_t steps) {
  if (!pair.is_cpu()) return EliminateBlockComposed(pair, channels, steps);
  EliminationBlock block = Empty(pair, steps);
  const int64_t n = pair.size(0);
  Tensor dh = pair.diagonal(0).clone(), dp = pair.diagonal(1).clone();
  std::vector<double> costs(static_cast<size_t>(n)), rows(static_cast<size_t>(3 * steps));
  Step s{.pair = pair.const_data_ptr<double>(),
         .stride = pair.stride(0),
         .u = block.u.mutable_data_ptr<double>(),
         .v = block.v.mutable_data_ptr<double>(),
         .steps = steps,
         .dh = dh.mutable_data_ptr<double>(),
         .dp = dp.mutable_data_ptr<double>(),
         .costs = costs.data(),
         .j = 0,
         .t = 0,
         .gu = rows.data(),
         .uj = rows.data() + steps,
         .vj = rows.data() + 2 * steps};
  for (int64_t i = 0; i < n; ++i) costs[static_cast<size_t>(i)] = Cost(s.dp[i], s.dh[i]);
  double* g = block.g.mutable_data_ptr<double>();
  double* a = block.a.mutable_data_ptr<double>();
  const Tensor of = channels.contiguous();
  for (s.t = 0; s.t < steps; ++s.t) {
    s.j = Cheapest(s.costs, of.const_data_ptr<int64_t>(), n);
    block.positions.mutable_data_ptr<int64_t>()[s.t] = s.j;
    block.costs.mutable_data_ptr<double>()[s.t] = s.costs[s.j];
    for (int64_t k = 0; k < s.t; ++k) {
      const double u = s.u[s.j * steps + k], v = s.v[s.j * steps + k];
      rows[static_cast<size_t>(k)] = g[k] * u;
      rows[static_cast<size_t>(steps + k)] = u;
      rows[static_cast<size_t>(2 * steps + k)] = v - a[k] * u;
    }
    const Entry own = EntryOf(s, s.j);
    g[s.t] = own.h, a[s.t] = own.p;
    const int64_t grain = std::max<int64_t>(64, kWorkOfThread / (3 * s.t + 8));
    at::parallel_for(0, n, grain,
                     [&](int64_t begin, int64_t end) { Rows(s, own.h, own.p, begin, end); });
    s.costs[s.j] = -1;
  }
  return block;
}

EliminationBlock EliminateBlockComposed(const Tensor& pair, const Tensor& channels, int64_t steps) {
  EliminationBlock block = Empty(pair, steps);
  const int64_t n = pair.size(0);
  const Tensor place = at::arange(n, block.positions.options());
  const Tensor never = at::full({}, kNever, pair.options());
  Tensor dh = pair.diagonal(0).clone(), dp = pair.diagonal(1).clone();
  Tensor gone = at::zeros({n}, pair.options().dtype(at::kBool));
  for (int64_t t = 0; t < steps; ++t) {
    const Tensor costs = at::where(dh > 0, dp.clamp_min(0) / dh, never).masked_fill_(gone, kNever);
    const Tensor least = costs.min();
    // Of what is left: where nothing has a cost, anything that is there still.
    const Tensor among = (costs == least).logical_and_(gone.logical_not());
    const Tensor j = at::where(among, channels, std::numeric_limits<int64_t>::max())
                         .argmin(0, /*keepdim=*/true);  // [1]
    const Tensor row = pair.index_select(0, j).squeeze(0);
    const Tensor h = at::where(place <= j, row.narrow(0, 0, n), pair.index_select(1, j).squeeze(1));
    const Tensor p =
        at::where(place >= j, row.narrow(0, 1, n), pair.index_select(1, j + 1).squeeze(1));
    Tensor h_now = h, p_now = p;
    if (t > 0) {
      const Tensor u = block.u.narrow(1, 0, t), v = block.v.narrow(1, 0, t);
      const Tensor uj = u.index_select(0, j).squeeze(0), vj = v.index_select(0, j).squeeze(0);
      h_now = h - at::mv(u, block.g.narrow(0, 0, t) * uj);
      p_now = p - at::mv(u, vj - block.a.narrow(0, 0, t) * uj) - at::mv(v, uj);
    }
    const Tensor g = h_now.index_select(0, j), a = p_now.index_select(0, j);  // [1]
    const Tensor change = h_now / g;
    block.u.select(1, t).copy_(change);
    block.v.select(1, t).copy_(p_now);
    block.g.narrow(0, t, 1).copy_(g);
    block.a.narrow(0, t, 1).copy_(a);
    block.costs.narrow(0, t, 1).copy_(least.unsqueeze(0));
    block.positions.narrow(0, t, 1).copy_(j);
    dh.sub_(h_now * change);
    dp.add_(change * (a * change - 2 * p_now));
    gone.index_fill_(0, j, true);
  }
  return block;
}

}  // namespace condense
