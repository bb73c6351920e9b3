#include "compression/bases/query_key_maps.h"

namespace condense {

Tensor SelectionMap(const Indices& columns, int64_t width, const at::TensorOptions& options) {
  return at::eye(width, options).index_select(1, IndexTensor(columns).to(options.device()));
}

namespace {

// rows: the stored rows of one head, or its bias. A selection copies, a map is applied in float64.
Tensor Narrowed(const Tensor& rows, const HeadMaps& maps, const Tensor& map, bool selects) {
  if (selects) return rows.index_select(0, IndexTensor(maps.columns).to(rows.device()));
  return at::matmul(map.t(), rows.to(kF64)).to(rows.scalar_type());
}

}  // namespace

void ApplyQueryKeyMaps(const std::vector<HeadMaps>& maps, int64_t width, bool rotary,
                       Attention& attention) {
  const auto narrow = [&](Tensor& stored, bool queries) {
    if (!stored.defined()) return;
    std::vector<Tensor> pieces;
    int64_t first = 0;
    for (const HeadMaps& head : maps) {
      for (size_t i = 0; i < (queries ? head.query.size() : 1); ++i) {
        const bool selects = !head.columns.empty() && (!queries || head.selects_queries);
        pieces.push_back(Narrowed(stored.narrow(0, first, width), head,
                                  queries ? head.query[i] : head.key, selects));
        first += width;
      }
    }
    stored = at::cat(pieces, 0);
  };
  narrow(attention.q.weight, true);
  narrow(attention.q.bias, true);
  narrow(attention.k.weight, false);
  narrow(attention.k.bias, false);
  Indices pairs;
  for (size_t j = 0; j < maps.size(); ++j) {
    attention.heads[j].qk_width = maps[j].key.size(1);
    pairs.insert(pairs.end(), maps[j].units.begin(), maps[j].units.end());
  }
  if (rotary) attention.rope_pairs = IndexTensor(pairs).to(attention.q.weight.device());
}

}  // namespace condense
