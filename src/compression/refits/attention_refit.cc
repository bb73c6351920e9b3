#include "compression/refits/attention_refit.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "model/attention_heads.h"

namespace condense {
namespace {

constexpr int64_t kChunk = 256;  // queries whose attention weights are in memory at a time

// One value for each map.
enum : size_t { kQuery, kKey, kValue, kReaders };

std::vector<Linear*> MapsOf(Attention& attention) {
  return {&attention.q, &attention.k, &attention.v, &attention.o};
}

// Of each query head its key/value head's, and the sum of the query heads of each.
Tensor Repeated(const Tensor& x, int64_t queries) {
  return queries == 1 ? x : x.repeat_interleave(queries, 1);
}
Tensor SumOfQueries(const Tensor& x, int64_t queries) {
  return queries == 1 ? x : x.unflatten(1, {-1, queries}).sum(2);
}

// +1 and -1 for a sequence [tokens, out], the same ones for every sequence.
Tensor Signs(const Tensor& like) {
  Random random(0, "signs");
  Tensor signs = at::empty({like.size(-2), like.size(-1)}, kF32);
  float* sign = signs.mutable_data_ptr<float>();
  uint64_t bits = 0;
  for (int64_t i = 0; i < signs.numel(); ++i, bits >>= 1) {
    if (i % 64 == 0) bits = random.NextU64();
    sign[i] = (bits & 1) != 0 ? 1.0F : -1.0F;
  }
  return signs.to(like.options()).expand_as(like);
}

// Attention weights are made for a chunk of queries at a time, against the keys up to the last of
// them, and again for each derivative: [tokens, tokens] weights of all heads are never in memory.
class LinearisedAttention final : public LinearisedModule {
 public:
  LinearisedAttention(const std::vector<Linear>& maps, const Attention& shape, const Tensor& x)
      : output_(maps.back()), scale_(shape.scale), tokens_(x.size(1)), x_(x) {
    RopeTable table;
    if (shape.rope_frequencies.defined()) table = shape.Rotations(0, tokens_, x.scalar_type());
    const int64_t longest = std::min(tokens_, kChunk);
    future_ = at::ones({longest, longest}, x.options().dtype(at::kBool)).triu(1);
    const Tensor q = maps[kQuery].Forward(x), k = maps[kKey].Forward(x),
                 v = maps[kValue].Forward(x);
    int64_t z_begin = 0;
    for (const HeadRun& run : RunsOf(shape.heads)) {
      Heads heads{.run = run, .z_begin = z_begin};
      z_begin += run.query_heads() * run.head.vo_width;
      if (table.cos.defined()) {
        heads.query_turn = OfHeads(table, shape.rope_pairs, run, run.head.queries);
        heads.key_turn = OfHeads(table, shape.rope_pairs, run, 1);
      }
      heads.q = heads.Queries(q), heads.k = heads.Keys(k), heads.v = heads.Values(v);
      runs_.push_back(std::move(heads));
    }
    mix_ = at::empty({x.size(0), tokens_, z_begin}, x.options());
    for (const Chunk& chunk : Chunks()) {
      std::vector<Tensor> mixed;
      for (const Heads& heads : runs_) {
        mixed.push_back(MergeHeads(at::matmul(WeightsOf(heads, chunk), chunk.Seen(heads.v))));
      }
      chunk.RowsOf(mix_).copy_(JoinRuns(mixed));
    }
  }

  Tensor Output() const override { return output_.Forward(mix_); }
  const Tensor& hidden() const override { return mix_; }

  void Pull(const Tensor& error, PullTo to, Change& sum) const override {
    if (to == PullTo::kAll) sum.back().Collect(error, mix_);
    std::vector<Gradients> gradients = ZeroGradients();
    for (const Chunk& chunk : Chunks()) {
      const Tensor back = at::matmul(chunk.RowsOf(error), output_.weight);
      for (size_t r = 0; r < runs_.size(); ++r) {
        PullHeads(runs_[r], WeightsOf(runs_[r], chunk), chunk, back, gradients[r]);
      }
    }
    const std::vector<Tensor> of_readers = Joined(std::move(gradients));
    for (size_t i = 0; i < kReaders; ++i) sum[i].Collect(of_readers[i], x_);
  }

  void AddCurvature(const Change& change, const Tensor& weights, Change& sum) const override {
    const Tensor dq = change[kQuery].Apply(x_), dk = change[kKey].Apply(x_),
                 dv = change[kValue].Apply(x_);
    std::vector<Inputs> changes;
    for (const Heads& heads : runs_) {
      changes.push_back({heads.Queries(dq), heads.Keys(dk), heads.Values(dv)});
    }
    std::vector<Gradients> gradients = ZeroGradients();
    for (const Chunk& chunk : Chunks()) {
      std::vector<Tensor> attention, mixed;
      for (size_t r = 0; r < runs_.size(); ++r) {
        attention.push_back(WeightsOf(runs_[r], chunk));
        mixed.push_back(MergeHeads(PushHeads(runs_[r], attention[r], chunk, changes[r])));
      }
      // J change, at the queries of the chunk.
      const Tensor mix = chunk.RowsOf(mix_).contiguous();
      Tensor output = change.back().Apply(mix);
      output.add_(at::matmul(JoinRuns(mixed), output_.weight.t()));
      if (weights.defined()) output.mul_(chunk.RowsOf(weights));
      sum.back().Collect(output, mix);
      const Tensor back = at::matmul(output, output_.weight);
      for (size_t r = 0; r < runs_.size(); ++r) {
        PullHeads(runs_[r], attention[r], chunk, back, gradients[r]);
      }
    }
    const std::vector<Tensor> of_readers = Joined(std::move(gradients));
    for (size_t i = 0; i < kReaders; ++i) sum[i].Collect(of_readers[i], x_);
  }

  // By signs drawn at random, e: the mean of (J_out^T e)^2 is the energy (Hutchinson).
  std::vector<Tensor> Energies(const Tensor& weights) const override {
    Tensor signs = Signs(Output());
    if (weights.defined()) signs = signs * weights.sqrt();
    std::vector<Gradients> gradients = ZeroGradients();
    for (const Chunk& chunk : Chunks()) {
      const Tensor back = at::matmul(chunk.RowsOf(signs), output_.weight);
      for (size_t r = 0; r < runs_.size(); ++r) {
        PullHeads(runs_[r], WeightsOf(runs_[r], chunk), chunk, back, gradients[r]);
      }
    }
    std::vector<Tensor> energies;
    for (const Tensor& gradient : Joined(std::move(gradients))) {
      energies.push_back(gradient.square().flatten(0, -2).sum(0));
    }
    return energies;
  }

  int64_t bytes() const override {
    size_t bytes = x_.nbytes() + mix_.nbytes();
    for (const Heads& heads : runs_) {
      bytes += heads.q.nbytes() + heads.k.nbytes() + heads.v.nbytes();
    }
    return static_cast<int64_t>(bytes);
  }

 private:
  // Neighbouring queries, and the keys that any of them sees.
  struct Chunk {
    int64_t begin, count;
    Tensor RowsOf(const Tensor& all) const { return all.narrow(1, begin, count); }
    Tensor QueriesOf(const Tensor& all) const { return all.narrow(2, begin, count); }
    Tensor Seen(const Tensor& all) const { return all.narrow(2, 0, begin + count); }
  };
  std::vector<Chunk> Chunks() const {
    std::vector<Chunk> chunks;
    for (int64_t begin = 0; begin < tokens_; begin += kChunk) {
      chunks.push_back({begin, std::min(kChunk, tokens_ - begin)});
    }
    return chunks;
  }

  // A run of heads. Tensors are [sequences, query heads, tokens, width], keys and values repeated
  // for the query heads that they serve; queries and keys are rotated.
  struct Inputs {
    Tensor q, k, v;
  };
  struct Heads : Inputs {
    HeadRun run;
    int64_t z_begin = 0;             // first column of what the writer reads
    RopeTable query_turn, key_turn;  // undefined without rotary positions

    int64_t group() const { return run.head.queries; }
    static Tensor Turned(const Tensor& x, const RopeTable& turn) {
      return turn.cos.defined() ? ApplyRope(x, turn.cos, turn.sin) : x;
    }
    static Tensor TurnedBack(const Tensor& x, const RopeTable& turn) {
      return turn.cos.defined() ? ApplyRope(x, turn.cos, -turn.sin) : x;
    }
    // Of all columns of a projection, or of a change of it.
    Tensor Queries(const Tensor& all) const {
      const Tensor own = SplitHeads(all, run.q_begin, run.query_heads(), run.head.qk_width);
      return Turned(own, query_turn).contiguous();
    }
    Tensor Keys(const Tensor& all) const {
      const Tensor own = SplitHeads(all, run.k_begin, run.count, run.head.qk_width);
      return Repeated(Turned(own, key_turn), group()).contiguous();
    }
    Tensor Values(const Tensor& all) const {
      const Tensor own = SplitHeads(all, run.v_begin, run.count, run.head.vo_width);
      return Repeated(own, group()).contiguous();
    }
  };
  // Derivatives by the inputs of a run, keys and values summed over their query heads.
  struct Gradients : Inputs {};

  // [sequences, query heads, queries of the chunk, keys that they see]
  Tensor WeightsOf(const Heads& heads, const Chunk& chunk) const {
    Tensor scores =
        at::matmul(chunk.QueriesOf(heads.q), chunk.Seen(heads.k).transpose(-1, -2)).mul_(scale_);
    scores.narrow(-1, chunk.begin, chunk.count)
        .masked_fill_(future_.narrow(0, 0, chunk.count).narrow(1, 0, chunk.count),
                      -std::numeric_limits<double>::infinity());
    return scores.softmax(-1);
  }
  // What the heads mix, z, of all queries or of those of a chunk.
  static Tensor MixOf(const Heads& heads, const Tensor& all) {
    return SplitHeads(all, heads.z_begin, heads.run.query_heads(), heads.run.head.vo_width);
  }

  // p: the attention weights. d softmax(s) = p o (ds - <p, ds>).
  Tensor PushHeads(const Heads& heads, const Tensor& p, const Chunk& chunk,
                   const Inputs& change) const {
    Tensor weighted = at::matmul(chunk.QueriesOf(change.q), chunk.Seen(heads.k).transpose(-1, -2));
    weighted.add_(at::matmul(chunk.QueriesOf(heads.q), chunk.Seen(change.k).transpose(-1, -2)));
    weighted.mul_(p).mul_(scale_);
    const Tensor mean = weighted.sum(-1, /*keepdim=*/true);
    Tensor mixed = at::matmul(weighted, chunk.Seen(heads.v));
    mixed.add_(at::matmul(p, chunk.Seen(change.v)));
    return mixed.sub_(mean * MixOf(heads, chunk.RowsOf(mix_)));
  }

  std::vector<Gradients> ZeroGradients() const {
    std::vector<Gradients> gradients;
    for (const Heads& heads : runs_) {
      const auto zeros = [&](int64_t count, int64_t width) {
        return at::zeros({x_.size(0), count, tokens_, width}, x_.options());
      };
      const HeadConfig& head = heads.run.head;
      gradients.push_back(
          {{zeros(heads.run.query_heads(), head.qk_width), zeros(heads.run.count, head.qk_width),
            zeros(heads.run.count, head.vo_width)}});
    }
    return gradients;
  }
  // back: derivatives by what all heads mix, at the queries of the chunk.
  void PullHeads(const Heads& heads, const Tensor& p, const Chunk& chunk, const Tensor& back,
                 Gradients& sum) const {
    const int64_t group = heads.group();
    const Tensor e = MixOf(heads, back).contiguous();
    chunk.Seen(sum.v).add_(SumOfQueries(at::matmul(p.transpose(-1, -2), e), group));
    const Tensor mean = (e * MixOf(heads, chunk.RowsOf(mix_))).sum(-1, /*keepdim=*/true);
    const Tensor scores =
        at::matmul(e, chunk.Seen(heads.v).transpose(-1, -2)).sub_(mean).mul_(p).mul_(scale_);
    chunk.QueriesOf(sum.q).copy_(at::matmul(scores, chunk.Seen(heads.k)));
    chunk.Seen(sum.k).add_(
        SumOfQueries(at::matmul(scores.transpose(-1, -2), chunk.QueriesOf(heads.q)), group));
  }
  // By what the readers put out: [sequences, tokens, columns].
  std::vector<Tensor> Joined(std::vector<Gradients> gradients) const {
    std::vector<Tensor> queries, keys, values;
    for (size_t r = 0; r < runs_.size(); ++r) {
      const Heads& heads = runs_[r];
      queries.push_back(MergeHeads(Heads::TurnedBack(gradients[r].q, heads.query_turn)));
      keys.push_back(MergeHeads(Heads::TurnedBack(gradients[r].k, heads.key_turn)));
      values.push_back(MergeHeads(gradients[r].v));
    }
    return {JoinRuns(queries), JoinRuns(keys), JoinRuns(values)};
  }

  Linear output_;
  double scale_;
  int64_t tokens_;
  Tensor x_, mix_;
  Tensor future_;  // [queries, keys] of one chunk
  std::vector<Heads> runs_;
};

}  // namespace

StepsTaken RefitAttention(const RefitVisit& visit, const GaussNewtonOptions& options,
                          const std::string& where, Attention& attention) {
  std::vector<Linear> maps;
  for (const Linear* map : MapsOf(attention)) maps.push_back(*map);
  const ModuleForm form{.forward =
                            [&](const std::vector<Linear>& at, const Tensor& x) {
                              Attention moved = attention;
                              const std::vector<Linear*> to = MapsOf(moved);
                              for (size_t i = 0; i < to.size(); ++i) *to[i] = at[i];
                              return moved.Forward(x);
                            },
                        .linearise =
                            [&](const std::vector<Linear>& at, const Tensor& x) {
                              return std::make_unique<const LinearisedAttention>(at, attention, x);
                            }};
  const StepsTaken taken = GaussNewton(visit, form, options, where + ": attention", maps);
  const std::vector<Linear*> to = MapsOf(attention);
  for (size_t i = 0; i < to.size(); ++i) *to[i] = maps[i];
  return taken;
}

}  // namespace condense
