// Causal attention over heads that may differ in width.
#include <optional>
#include <tuple>

#include "base/error.h"
#include "kernels/one_pass.h"
#include "kernels/packed_attention.h"
#include "model/attention_heads.h"
#include "model/block.h"

namespace condense {
namespace {

// q: [batch, queries, new, w]; k: [batch, kv heads, all, w]; v: [batch, kv heads, all, u]. Without
// a mask the new tokens are the last ones, and each sees those before it. The fused kernels want
// one width for all three, so the narrower side is padded with zeros, which changes nothing: zero
// columns add nothing to a score and give zero columns in the output.
Tensor ScaledAttention(const Tensor& q, const Tensor& k, const Tensor& v, double scale,
                       Tensor mask) {
  const int64_t fresh = q.size(2), all = k.size(2), value_width = v.size(3);
  const int64_t width = std::max(q.size(3), value_width);
  const auto pad = [width](const Tensor& x) {
    return x.size(3) == width ? x : at::constant_pad_nd(x, {0, width - x.size(3)});
  };
  const bool grouped = q.size(1) != k.size(1);
  const bool causal = !mask.defined() && fresh > 1 && fresh == all;
  if (!mask.defined() && fresh > 1 && fresh < all) {
    mask = at::ones({fresh, all}, q.options().dtype(at::kBool)).tril(all - fresh);
  }
  const Tensor mixed = at::scaled_dot_product_attention(
      pad(q), pad(k), pad(v), mask.defined() ? std::optional<Tensor>(mask) : std::nullopt,
      /*dropout_p=*/0, causal, scale, grouped);
  return width == value_width ? mixed : mixed.narrow(3, 0, value_width);
}

// Sequences of a packed batch differ in length and share beginnings, so rotations that depend on the
// length have to be those of short sequences for all.
RopeTable PackedRotations(const Attention& attention, int64_t longest, DType dtype) {
  const auto& stretch = attention.rope_stretch;
  if (stretch && longest > stretch->original_max_positions) {
    throw MakeError<DataError>(
        "a request of {} tokens is longer than max_position_embeddings ({}); the rotary "
        "frequencies of this model (rope_scaling dynamic) then depend on the length, which is "
        "supported for windows of a text, not for requests; use a smaller max_length",
        longest, stretch->original_max_positions);
  }
  return attention.Rotations(0, longest, dtype);
}

// Rotations by token of queries and of keys, [..., tokens, pairs]; undefined without RoPE.
struct TokenRotations {
  RopeTable queries, keys;
};

TokenRotations RotationsFor(const Attention& attention, const BlockContext& context,
                            const PackedLayout::Rectangle* rectangle, const Tensor& q) {
  if (!attention.rope_frequencies.defined()) return {};
  if (rectangle == nullptr) {
    const int64_t past = context.cache != nullptr ? context.cache->tokens() : 0;
    const RopeTable table = attention.Rotations(past, q.size(1), q.scalar_type());
    return {table, table};
  }
  const RopeTable table = PackedRotations(attention, context.layout->positions(), q.scalar_type());
  const auto at_positions = [&](const Tensor& positions) {
    const auto select = [&](const Tensor& values) {
      return values.index_select(0, positions).unflatten(0, {rectangle->pieces, -1});
    };
    return RopeTable{select(table.cos), select(table.sin)};
  };
  return {at_positions(rectangle->query_positions), at_positions(rectangle->key_positions)};
}

// Queries and keys of the heads of a run, rotated where the model rotates:
// [batch, heads, tokens, width].
struct QueriesAndKeys {
  Tensor queries, keys;
};

QueriesAndKeys RotatedHeads(const Tensor& q, const Tensor& k, const HeadRun& run,
                            const TokenRotations& rotations, const Tensor& rope_pairs) {
  const QueriesAndKeys heads{
      SplitHeads(q, run.q_begin, run.count * run.head.queries, run.head.qk_width),
      SplitHeads(k, run.k_begin, run.count, run.head.qk_width)};
  if (!rotations.queries.cos.defined()) return heads;
  const RopeTable queries = OfHeads(rotations.queries, rope_pairs, run, run.head.queries),
                  keys = OfHeads(rotations.keys, rope_pairs, run, 1);
  return {ApplyRope(heads.queries, queries.cos, queries.sin),
          ApplyRope(heads.keys, keys.cos, keys.sin)};
}

// Of rows that are whole sequences: [new, all] bool, undefined where every token is in the window.
Tensor MaskOfWindow(const BlockContext& context, int64_t window, const Tensor& q) {
  const int64_t past = context.cache != nullptr ? context.cache->tokens() : 0;
  const int64_t fresh = q.size(1), all = past + fresh;
  if (window == 0 || all <= window) return {};
  return at::ones({fresh, all}, q.options().dtype(at::kBool)).tril(past).triu(past - window + 1);
}

Tensor MaskOf(const PackedLayout::Rectangle& rectangle, int64_t longest, int64_t window) {
  if (window == 0 || longest <= window) return rectangle.mask;
  const Tensor back = rectangle.query_positions.view({rectangle.pieces, 1, -1, 1}) -
                      rectangle.key_positions.view({rectangle.pieces, 1, 1, -1});
  return rectangle.mask.logical_and(back < window);
}

std::vector<PackedHead> PackedHeadsOf(const std::vector<HeadConfig>& heads, bool own_pairs) {
  std::vector<PackedHead> packed;
  PackedHead next;
  for (const HeadConfig& head : heads) {
    next.queries = head.queries, next.qk_width = head.qk_width, next.vo_width = head.vo_width;
    packed.push_back(next);
    next.q += head.queries * head.qk_width;
    next.k += head.qk_width;
    next.v += head.vo_width;
    next.out += head.queries * head.vo_width;
    if (own_pairs) next.pair += head.qk_width / 2;
  }
  return packed;
}

// A batch whose rows are sequences.
std::vector<TokenRun> RunsOfRows(int64_t batch, int64_t tokens) {
  std::vector<TokenRun> runs;
  for (int64_t begin = 0; begin < batch * tokens; begin += tokens) {
    runs.push_back(
        {.begin = begin, .end = begin + tokens, .first_query = begin, .query_row = begin});
  }
  return runs;
}

// Up to this length one pass per head beats LibTorch's kernel, which works block by block so that
// long rows of scores stay in cache.
constexpr int64_t kLongestInOnePass = 1024;

}  // namespace

Tensor Attention::Forward(const Tensor& x, const BlockContext& context) const {
  const Tensor asking = context.layout != nullptr ? context.layout->Queries(x) : x;
  const Tensor q_all = q.Forward(asking), k_all = k.Forward(x), v_all = v.Forward(x);
  const auto report = [&](Tap tap, const Tensor& value) {
    if (context.taps != nullptr && context.taps->Wants(tap)) context.taps->OnTap(tap, value);
  };
  report(Tap::kQuery, q_all);
  report(Tap::kKey, k_all);
  report(Tap::kValue, v_all);
  ReportRotated(q_all, k_all, context);
  const Tensor z = Mix(q_all, k_all, v_all, context);
  report(Tap::kValueMix, z);
  return o.Forward(z);
}

void Attention::ReportRotated(const Tensor& q_all, const Tensor& k_all,
                              const BlockContext& context) const {
  const auto wants = [&](Tap tap) { return context.taps != nullptr && context.taps->Wants(tap); };
  const bool scores = wants(Tap::kScores);
  if (!wants(Tap::kQueryRotated) && !wants(Tap::kKeyRotated) && !scores) return;
  const TokenRotations rotations = RotationsFor(*this, context, nullptr, q_all);
  std::vector<Tensor> queries, keys;
  for (const HeadRun& run : RunsOf(heads)) {
    const QueriesAndKeys rotated = RotatedHeads(q_all, k_all, run, rotations, rope_pairs);
    queries.push_back(MergeHeads(rotated.queries));
    keys.push_back(MergeHeads(rotated.keys));
  }
  const Tensor all_queries = JoinRuns(queries), all_keys = JoinRuns(keys);
  if (wants(Tap::kQueryRotated)) context.taps->OnTap(Tap::kQueryRotated, all_queries);
  if (wants(Tap::kKeyRotated)) context.taps->OnTap(Tap::kKeyRotated, all_keys);
  if (!scores) return;
  CONDENSE_CHECK(window == 0 || q_all.size(1) <= window, "scores of a window");
  CONDENSE_CHECK(context.layout == nullptr && context.cache == nullptr,
                 "scores are tapped where each row of the batch is one whole sequence");
  context.taps->OnScores(all_queries, all_keys, scale);
}

RopeTable Attention::Rotations(int64_t first, int64_t tokens, DType dtype) const {
  const Tensor frequencies =
      rope_stretch ? StretchedFrequencies(rope_frequencies, *rope_stretch, first + tokens)
                   : rope_frequencies;
  return MakeRopeTable(frequencies, first, tokens, dtype);
}

Tensor Attention::Mix(const Tensor& q_all, const Tensor& k_all, const Tensor& v_all,
                      const BlockContext& context) const {
  const int64_t longest = context.layout != nullptr ? context.layout->positions() : q_all.size(1);
  const bool in_one_pass = OnePassApplies(q_all) && OnePassApplies(k_all) &&
                           OnePassApplies(v_all) && context.cache == nullptr &&
                           longest <= kLongestInOnePass && (window == 0 || longest <= window);
  return in_one_pass ? MixInOnePass(q_all, k_all, v_all, context)
                     : MixComposed(q_all, k_all, v_all, context);
}

Tensor Attention::MixInOnePass(const Tensor& q_all, const Tensor& k_all, const Tensor& v_all,
                               const BlockContext& context) const {
  const int64_t batch = q_all.size(0), tokens = q_all.size(1);
  const std::vector<TokenRun> rows =
      context.layout != nullptr ? std::vector<TokenRun>() : RunsOfRows(batch, tokens);
  const std::vector<TokenRun>& runs = context.layout != nullptr ? context.layout->runs() : rows;
  RopeTable table;
  if (rope_frequencies.defined()) {
    table = context.layout != nullptr ? PackedRotations(*this, context.layout->positions(), kF32)
                                      : Rotations(0, tokens, kF32);
    if (rope_pairs.defined()) {
      table = {table.cos.index_select(1, rope_pairs), table.sin.index_select(1, rope_pairs)};
    }
  }
  return PackedAttention(q_all.flatten(0, 1), k_all.flatten(0, 1), v_all.flatten(0, 1),
                         PackedHeadsOf(heads, rope_pairs.defined()), scale, runs, table.cos,
                         table.sin)
      .unflatten(0, {batch, tokens});
}

Tensor Attention::MixComposed(const Tensor& q_all, const Tensor& k_all, const Tensor& v_all,
                              const BlockContext& context) const {
  std::optional<PackedLayout::Rectangle> rectangle;
  if (context.layout != nullptr) rectangle = context.layout->RectangleOn(q_all.device());
  const auto arrange = [&](const Tensor& x, const Tensor& rows) {
    return x.index_select(1, rows).view({rectangle->pieces, -1, x.size(2)});
  };
  const Tensor queries = rectangle ? arrange(q_all, rectangle->query_rows) : q_all;
  const Tensor keys = rectangle ? arrange(k_all, rectangle->key_rows) : k_all;
  const Tensor values = rectangle ? arrange(v_all, rectangle->key_rows) : v_all;
  const Tensor mask = rectangle ? MaskOf(*rectangle, context.layout->positions(), window)
                                : MaskOfWindow(context, window, q_all);

  const TokenRotations rotations =
      RotationsFor(*this, context, rectangle ? &*rectangle : nullptr, q_all);
  const std::vector<HeadRun> runs = RunsOf(heads);
  if (context.cache != nullptr) context.cache->Prepare(runs.size());
  std::vector<Tensor> mixed;
  for (size_t r = 0; r < runs.size(); ++r) {
    const HeadRun& run = runs[r];
    auto [q_run, k_run] = RotatedHeads(queries, keys, run, rotations, rope_pairs);
    Tensor v_run = SplitHeads(values, run.v_begin, run.count, run.head.vo_width);
    if (context.cache != nullptr) std::tie(k_run, v_run) = context.cache->Append(r, k_run, v_run);
    mixed.push_back(MergeHeads(ScaledAttention(q_run, k_run, v_run, scale, mask)));
  }
  if (context.cache != nullptr) context.cache->Advance(q_all.size(1));
  const Tensor z = JoinRuns(mixed);
  return rectangle ? z.flatten(0, 1).index_select(0, rectangle->result_rows).unsqueeze(0) : z;
}

void BlockCache::Prepare(size_t runs) { runs_.resize(runs); }

std::pair<Tensor, Tensor> BlockCache::Append(size_t run, const Tensor& keys, const Tensor& values) {
  const auto store = [this](Tensor& kept, const Tensor& fresh) {
    const int64_t tokens = fresh.size(2), needed = tokens_ + tokens;
    if (!kept.defined() || kept.size(2) < needed) {
      auto shape = fresh.sizes().vec();
      shape[2] = std::max<int64_t>(2 * tokens_, (needed + 63) / 64 * 64);
      Tensor grown = at::empty(shape, fresh.options());
      if (tokens_ > 0) grown.narrow(2, 0, tokens_).copy_(kept.narrow(2, 0, tokens_));
      kept = grown;
    }
    kept.narrow(2, tokens_, tokens).copy_(fresh);
    return kept.narrow(2, 0, needed);
  };
  Run& kept = runs_[run];
  return {store(kept.keys, keys), store(kept.values, values)};
}

void BlockCache::Advance(int64_t tokens) { tokens_ += tokens; }

}  // namespace condense
