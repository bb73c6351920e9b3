// Attention without some of its heads or columns: index sets over the rows of the stored tensors.
#include <algorithm>

#include "base/error.h"
#include "model/block.h"

namespace condense {
namespace {

using Indices = std::vector<int64_t>;

void AppendRange(Indices& rows, int64_t first, int64_t count) {
  for (int64_t i = 0; i < count; ++i) rows.push_back(first + i);
}

void AppendShifted(Indices& rows, int64_t first, const Indices& within) {
  for (const int64_t i : within) rows.push_back(first + i);
}

Tensor OnDeviceOf(const Tensor& tensor, const Indices& rows) {
  return at::tensor(rows, at::TensorOptions().dtype(kI64)).to(tensor.device());
}

void KeepRows(Linear& linear, const Indices& rows) {
  CONDENSE_CHECK(!linear.factored() && !linear.scale.defined(), "a factored or scaled projection");
  const Tensor index = OnDeviceOf(linear.weight, rows);
  linear.weight = linear.weight.index_select(0, index);
  if (linear.bias.defined()) linear.bias = linear.bias.index_select(0, index);
}

void KeepColumns(Linear& linear, const Indices& columns) {
  CONDENSE_CHECK(!linear.factored(), "a factored projection");
  linear.weight = linear.weight.index_select(1, OnDeviceOf(linear.weight, columns));
}

}  // namespace

void Attention::KeepQueryHeads(const std::vector<int64_t>& kept) {
  CONDENSE_CHECK(!kept.empty() && std::is_sorted(kept.begin(), kept.end()), "kept query heads");
  std::vector<HeadConfig> left;
  Indices q_rows, k_rows, v_rows, o_columns, pairs;
  int64_t query = 0, q_begin = 0, k_begin = 0, v_begin = 0, o_begin = 0;
  for (const HeadConfig& head : heads) {
    HeadConfig narrowed = head;
    narrowed.queries = 0;
    for (int64_t i = 0; i < head.queries; ++i, ++query) {
      if (std::binary_search(kept.begin(), kept.end(), query)) {
        AppendRange(q_rows, q_begin, head.qk_width);
        AppendRange(o_columns, o_begin, head.vo_width);
        ++narrowed.queries;
      }
      q_begin += head.qk_width;
      o_begin += head.vo_width;
    }
    if (narrowed.queries > 0) {
      AppendRange(k_rows, k_begin, head.qk_width);
      AppendRange(v_rows, v_begin, head.vo_width);
      AppendRange(pairs, k_begin / 2, head.qk_width / 2);
      left.push_back(narrowed);
    }
    k_begin += head.qk_width;
    v_begin += head.vo_width;
  }
  CONDENSE_CHECK(kept.back() < query, "query head {} of {}", kept.back(), query);
  KeepRows(q, q_rows);
  KeepRows(k, k_rows);
  KeepRows(v, v_rows);
  KeepColumns(o, o_columns);
  if (rope_pairs.defined()) rope_pairs = rope_pairs.index_select(0, OnDeviceOf(rope_pairs, pairs));
  heads = std::move(left);
}

void Attention::KeepQueryKeyUnits(const std::vector<std::vector<int64_t>>& units, bool rotary) {
  CONDENSE_CHECK(units.size() == heads.size() && !rope_pairs.defined(), "kept query/key columns");
  Indices q_rows, k_rows, pairs;
  int64_t q_begin = 0, k_begin = 0;
  for (size_t j = 0; j < heads.size(); ++j) {
    HeadConfig& head = heads[j];
    Indices columns = units[j];
    if (rotary) AppendShifted(columns, head.qk_width / 2, units[j]);
    for (int64_t i = 0; i < head.queries; ++i, q_begin += head.qk_width) {
      AppendShifted(q_rows, q_begin, columns);
    }
    AppendShifted(k_rows, k_begin, columns);
    k_begin += head.qk_width;
    pairs.insert(pairs.end(), units[j].begin(), units[j].end());
    head.qk_width = static_cast<int64_t>(columns.size());
  }
  KeepRows(q, q_rows);
  KeepRows(k, k_rows);
  if (rotary) rope_pairs = OnDeviceOf(q.weight, pairs);
}

void Attention::KeepValueChannels(const std::vector<std::vector<int64_t>>& kept) {
  CONDENSE_CHECK(kept.size() == heads.size(), "kept value channels");
  Indices v_rows, o_columns;
  int64_t v_begin = 0, o_begin = 0;
  for (size_t j = 0; j < heads.size(); ++j) {
    HeadConfig& head = heads[j];
    AppendShifted(v_rows, v_begin, kept[j]);
    v_begin += head.vo_width;
    for (int64_t i = 0; i < head.queries; ++i, o_begin += head.vo_width) {
      AppendShifted(o_columns, o_begin, kept[j]);
    }
    head.vo_width = static_cast<int64_t>(kept[j].size());
  }
  KeepRows(v, v_rows);
  KeepColumns(o, o_columns);
}

}  // namespace condense
