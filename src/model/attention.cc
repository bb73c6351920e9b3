// Causal attention over heads that may differ in width.
#include "base/error.h"
#include "model/block.h"

namespace condense {
namespace {

// Neighbouring key/value heads of equal shape, computed as one batch of heads.
struct HeadRun {
  HeadConfig head;
  int64_t count = 0;                              // key/value heads
  int64_t q_begin = 0, k_begin = 0, v_begin = 0;  // first columns
  int64_t QueryWidth() const { return count * head.queries * head.qk_width; }
  int64_t KeyWidth() const { return count * head.qk_width; }
  int64_t ValueWidth() const { return count * head.vo_width; }
};

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

// [batch, tokens, heads * width] -> [batch, heads, tokens, width]
Tensor SplitHeads(const Tensor& x, int64_t begin, int64_t heads, int64_t width) {
  return x.narrow(-1, begin, heads * width).unflatten(-1, {heads, width}).transpose(1, 2);
}

// [batch, heads, tokens, width] -> [batch, tokens, heads * width]
Tensor MergeHeads(const Tensor& x) { return x.transpose(1, 2).flatten(2); }

// q: [batch, queries, new, w]; k: [batch, kv heads, all, w]; v: [batch, kv heads, all, u].
// The fused kernels want one width for all three, so the narrower side is padded with zeros, which
// changes nothing: zero columns add nothing to a score and give zero columns in the output.
Tensor ScaledAttention(Tensor q, Tensor k, Tensor v, double scale) {
  const int64_t fresh = q.size(2), all = k.size(2), value_width = v.size(3);
  const int64_t width = std::max(q.size(3), value_width);
  const auto pad = [width](const Tensor& x) {
    return x.size(3) == width ? x : at::constant_pad_nd(x, {0, width - x.size(3)});
  };
  const bool grouped = q.size(1) != k.size(1);
  const bool causal = fresh > 1 && fresh == all;
  std::optional<Tensor> mask;
  if (fresh > 1 && fresh < all) {
    mask = at::ones({fresh, all}, q.options().dtype(at::kBool)).tril(all - fresh);
  }
  const Tensor mixed = at::scaled_dot_product_attention(pad(q), pad(k), pad(v), mask,
                                                        /*dropout_p=*/0, causal, scale, grouped);
  return width == value_width ? mixed : mixed.narrow(3, 0, value_width);
}

}  // namespace

Tensor Attention::Forward(const Tensor& x, const BlockContext& context) const {
  const Tensor q_all = q.Forward(x), k_all = k.Forward(x), v_all = v.Forward(x);
  const auto wants = [&](Tap tap) { return context.taps != nullptr && context.taps->Wants(tap); };
  const auto report = [&](Tap tap, const Tensor& value) {
    if (wants(tap)) context.taps->OnTap(tap, value);
  };
  report(Tap::kQuery, q_all);
  report(Tap::kKey, k_all);
  report(Tap::kValue, v_all);

  const int64_t tokens = x.size(1);
  const int64_t past = context.cache != nullptr ? context.cache->tokens_ : 0;
  RopeTable table;
  if (context.rope_frequencies != nullptr) {
    table = MakeRopeTable(*context.rope_frequencies, past, tokens, x.scalar_type());
  }

  const std::vector<HeadRun> runs = RunsOf(heads);
  if (context.cache != nullptr) context.cache->runs_.resize(runs.size());
  std::vector<Tensor> mixed, rotated_q, rotated_k;
  for (size_t r = 0; r < runs.size(); ++r) {
    const HeadRun& run = runs[r];
    const int64_t queries = run.count * run.head.queries;
    Tensor q_run = SplitHeads(q_all, run.q_begin, queries, run.head.qk_width);
    Tensor k_run = SplitHeads(k_all, run.k_begin, run.count, run.head.qk_width);
    Tensor v_run = SplitHeads(v_all, run.v_begin, run.count, run.head.vo_width);

    if (table.cos.defined()) {
      Tensor cos_k = table.cos, sin_k = table.sin;  // [tokens, pairs]
      Tensor cos_q = cos_k, sin_q = sin_k;
      if (rope_pairs.defined()) {
        const int64_t pairs = run.head.qk_width / 2;
        const Tensor kept = rope_pairs.narrow(0, run.k_begin / 2, run.count * pairs);
        const auto select = [&](const Tensor& full) {  // [heads, tokens, pairs]
          return full.index_select(1, kept).unflatten(1, {run.count, pairs}).transpose(0, 1);
        };
        cos_k = select(table.cos), sin_k = select(table.sin);
        cos_q = cos_k.repeat_interleave(run.head.queries, 0);
        sin_q = sin_k.repeat_interleave(run.head.queries, 0);
      }
      q_run = ApplyRope(q_run, cos_q, sin_q);
      k_run = ApplyRope(k_run, cos_k, sin_k);
    }
    if (wants(Tap::kQueryRotated)) rotated_q.push_back(MergeHeads(q_run));
    if (wants(Tap::kKeyRotated)) rotated_k.push_back(MergeHeads(k_run));

    if (context.cache != nullptr) {
      BlockCache::Run& cache = context.cache->runs_[r];
      const int64_t needed = past + tokens;
      const auto store = [&](Tensor& kept, const Tensor& fresh) {
        if (!kept.defined() || kept.size(2) < needed) {
          auto shape = fresh.sizes().vec();
          shape[2] = std::max<int64_t>(2 * past, (needed + 63) / 64 * 64);
          Tensor grown = at::empty(shape, fresh.options());
          if (past > 0) grown.narrow(2, 0, past).copy_(kept.narrow(2, 0, past));
          kept = grown;
        }
        kept.narrow(2, past, tokens).copy_(fresh);
        return kept.narrow(2, 0, needed);
      };
      k_run = store(cache.keys, k_run);
      v_run = store(cache.values, v_run);
    }
    mixed.push_back(MergeHeads(ScaledAttention(q_run, k_run, v_run, scale)));
  }
  if (context.cache != nullptr) context.cache->tokens_ += tokens;
  if (!rotated_q.empty()) report(Tap::kQueryRotated, at::cat(rotated_q, -1));
  if (!rotated_k.empty()) report(Tap::kKeyRotated, at::cat(rotated_k, -1));

  const Tensor z = mixed.size() == 1 ? mixed[0] : at::cat(mixed, -1);
  report(Tap::kValueMix, z);
  return o.Forward(z);
}

}  // namespace condense
