#include "kernels/pair_terms.h"

#include "base/error.h"
#include "kernels/one_pass.h"
#include "kernels/parallel_loops.h"
#include "kernels/vector_math.h"

namespace condense {
namespace {

// Floats that one thread should write at least.
constexpr int64_t kGrain = 1 << 15;

// One pair of one query.
struct PairOfQuery {
  float q1, q2, mean1, mean2;
};

CONDENSE_WIDE_VECTORS
void TermsOfRow(PairOfQuery pair, const float* __restrict k1, const float* __restrict k2,
                const float* __restrict root, int64_t count, float* __restrict e,
                float* __restrict turned) {
  for (int64_t s = 0; s < count; ++s) {
    e[s] = (pair.q1 * k1[s] + pair.q2 * k2[s] - pair.mean1) * root[s];
    turned[s] = (pair.q1 * k2[s] - pair.q2 * k1[s] - pair.mean2) * root[s];
  }
}

Tensor InOnePass(const Tensor& queries, const Tensor& keys, const Tensor& means,
                 const Tensor& root) {
  const int64_t n = queries.size(0), count = queries.size(1), f = queries.size(2) / 2;
  const int64_t seen = root.size(2);
  const Tensor q = queries.contiguous(), m = means.contiguous(), w = root.contiguous();
  Tensor terms = at::empty({n, 2 * f, count, seen}, q.options());
  const float* q_data = q.const_data_ptr<float>();
  const float* m_data = m.const_data_ptr<float>();
  const float* w_data = w.const_data_ptr<float>();
  const float* k_data = keys.const_data_ptr<float>();
  float* out = terms.mutable_data_ptr<float>();
  at::parallel_for(0, n * f, kGrain / (2 * count * seen) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t item = i / f, j = i % f;
      const float* k1 = k_data + item * keys.stride(0) + j * keys.stride(1);
      const float* k2 = k1 + f * keys.stride(1);
      float* e = out + (item * 2 * f + j) * count * seen;
      for (int64_t t = 0; t < count; ++t) {
        const int64_t row = item * count + t, at = row * 2 * f + j;
        TermsOfRow({q_data[at], q_data[at + f], m_data[at], m_data[at + f]}, k1, k2,
                   w_data + row * seen, seen, e + t * seen, e + (f * count + t) * seen);
      }
    }
  });
  return terms;
}

Tensor Composed(const Tensor& queries, const Tensor& keys, const Tensor& means,
                const Tensor& root) {
  const int64_t f = queries.size(2) / 2, seen = root.size(2);
  const Tensor q = queries.transpose(1, 2).unsqueeze(3);     // [n, 2f, queries, 1]
  const Tensor k = keys.narrow(2, 0, seen).unsqueeze(2);     // [n, 2f, 1, seen]
  const Tensor minus = -means.transpose(1, 2).unsqueeze(3);  // [n, 2f, queries, 1]
  const Tensor q1 = q.narrow(1, 0, f), q2 = q.narrow(1, f, f);
  const Tensor k1 = k.narrow(1, 0, f), k2 = k.narrow(1, f, f);
  Tensor terms = at::cat({at::addcmul(minus.narrow(1, 0, f), q1, k1).addcmul_(q2, k2),
                          at::addcmul(minus.narrow(1, f, f), q1, k2).addcmul_(q2, k1, -1)},
                         1);
  return terms.mul_(root.unsqueeze(1));
}

}  // namespace

Tensor CentredPairTerms(const Tensor& queries, const Tensor& keys, const Tensor& means,
                        const Tensor& root) {
  CONDENSE_CHECK(queries.size(2) % 2 == 0 && keys.size(1) == queries.size(2) &&
                     means.sizes() == queries.sizes() && root.size(1) == queries.size(1) &&
                     root.size(2) <= keys.size(2),
                 "queries {}, keys {}, means {}, roots {}", ShapeString(queries.sizes()),
                 ShapeString(keys.sizes()), ShapeString(means.sizes()), ShapeString(root.sizes()));
  const bool one_pass = OnePassApplies(keys) && queries.scalar_type() == kF32;
  return one_pass ? InOnePass(queries, keys, means, root) : Composed(queries, keys, means, root);
}

}  // namespace condense
