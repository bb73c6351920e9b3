#include "model/attention_heads.h"

namespace condense {

std::vector<HeadRun> RunsOf(const std::vector<HeadConfig>& heads) {
  std::vector<HeadRun> runs;
  int64_t q = 0, k = 0, v = 0;
  for (const HeadConfig& head : heads) {
    if (runs.empty() || !(runs.back().head == head)) {
      runs.push_back({.head = head, .count = 0, .q_begin = q, .k_begin = k, .v_begin = v});
    }
    ++runs.back().count;
    q += head.queries * head.qk_width;
    k += head.qk_width;
    v += head.vo_width;
  }
  return runs;
}

Tensor SplitHeads(const Tensor& x, int64_t begin, int64_t heads, int64_t width) {
  return x.narrow(-1, begin, heads * width).unflatten(-1, {heads, width}).transpose(1, 2);
}

Tensor MergeHeads(const Tensor& x) { return x.transpose(1, 2).flatten(2); }

Tensor JoinRuns(const std::vector<Tensor>& runs) {
  return runs.size() == 1 ? runs[0] : at::cat(runs, -1);
}

RopeTable OfHeads(const RopeTable& table, const Tensor& rope_pairs, const HeadRun& run,
                  int64_t repetitions) {
  if (!rope_pairs.defined()) return {table.cos.unsqueeze(-3), table.sin.unsqueeze(-3)};
  const int64_t pairs = run.head.qk_width / 2;
  const Tensor kept = rope_pairs.narrow(0, run.k_begin / 2, run.count * pairs);
  const auto of_heads = [&](const Tensor& values) {
    return values.index_select(-1, kept)
        .unflatten(-1, {run.count, pairs})
        .transpose(-3, -2)
        .repeat_interleave(repetitions, -3);
  };
  return {of_heads(table.cos), of_heads(table.sin)};
}

}  // namespace condense
