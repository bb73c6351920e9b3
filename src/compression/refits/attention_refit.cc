#include "compression/refits/attention_refit.h"

#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "model/attention_heads.h"

namespace condense {
namespace {

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

class LinearisedAttention final : public LinearisedModule {
 public:
  LinearisedAttention(const std::vector<Linear>& maps, const Attention& shape, const Tensor& x)
      : output_(maps.back()), scale_(shape.scale), x_(x) {
    const int64_t tokens = x.size(1);
    if (shape.rope_frequencies.defined()) {
      table_ = shape.Rotations(0, tokens, x.scalar_type());
    }
    const Tensor future = at::ones({tokens, tokens}, x.options().dtype(at::kBool)).triu(1);
    const Tensor q = maps[kQuery].Forward(x), k = maps[kKey].Forward(x),
                 v = maps[kValue].Forward(x);
    std::vector<Tensor> mixed;
    for (const HeadRun& run : RunsOf(shape.heads)) {
      Heads heads{.run = run};
      if (table_.cos.defined()) {
        heads.query_turn = OfHeads(table_, shape.rope_pairs, run, run.head.queries);
        heads.key_turn = OfHeads(table_, shape.rope_pairs, run, 1);
      }
      heads.q = heads.Queries(q), heads.k = heads.Keys(k), heads.v = heads.Values(v);
      heads.p = at::matmul(heads.q, heads.k.transpose(-1, -2))
                    .mul_(scale_)
                    .masked_fill_(future, -std::numeric_limits<double>::infinity())
                    .softmax(-1);
      heads.z = at::matmul(heads.p, heads.v);
      mixed.push_back(MergeHeads(heads.z));
      runs_.push_back(std::move(heads));
    }
    mix_ = JoinRuns(mixed);
  }

  Tensor Output() const override { return output_.Forward(mix_); }
  const Tensor& hidden() const override { return mix_; }

  Tensor Push(const Change& change) const override {
    const Tensor dq = change[kQuery].Apply(x_), dk = change[kKey].Apply(x_),
                 dv = change[kValue].Apply(x_);
    std::vector<Tensor> mixed;
    for (const Heads& heads : runs_) {
      // d softmax(s) = p o (ds - <p, ds>)
      Tensor weighted = at::matmul(heads.Queries(dq), heads.k.transpose(-1, -2));
      weighted.add_(at::matmul(heads.q, heads.Keys(dk).transpose(-1, -2)));
      weighted.mul_(heads.p).mul_(scale_);
      const Tensor mean = weighted.sum(-1, /*keepdim=*/true);
      mixed.push_back(MergeHeads(at::matmul(weighted, heads.v) - mean * heads.z +
                                 at::matmul(heads.p, heads.Values(dv))));
    }
    return change.back().Apply(mix_).add_(at::matmul(JoinRuns(mixed), output_.weight.t()));
  }

  void Pull(const Tensor& error, Change& sum) const override {
    sum.back().Collect(error, mix_);
    const std::vector<Tensor> gradients = PullToReaders(error);
    for (size_t i = 0; i < kReaders; ++i) sum[i].Collect(gradients[i], x_);
  }

  // By signs drawn at random, e: the mean of (J_out^T e)^2 is the energy (Hutchinson).
  std::vector<Tensor> Energies(const Tensor& weights) const override {
    const Tensor signs = Signs(Output());
    std::vector<Tensor> energies;
    for (const Tensor& gradient :
         PullToReaders(weights.defined() ? signs * weights.sqrt() : signs)) {
      energies.push_back(gradient.square().flatten(0, -2).sum(0));
    }
    return energies;
  }

 private:
  // A run of heads. Tensors are [sequences, query heads, tokens, width], keys and values repeated
  // for the query heads that they serve; queries and keys are rotated.
  struct Heads {
    HeadRun run;
    RopeTable query_turn, key_turn;  // undefined without rotary positions
    Tensor q, k, v, z;
    Tensor p;  // attention weights [sequences, query heads, tokens, tokens]

    int64_t group() const { return run.head.queries; }
    static Tensor Turned(const Tensor& x, const RopeTable& turn) {
      return turn.cos.defined() ? ApplyRope(x, turn.cos, turn.sin) : x;
    }
    static Tensor TurnedBack(const Tensor& x, const RopeTable& turn) {
      return turn.cos.defined() ? ApplyRope(x, turn.cos, -turn.sin) : x;
    }
    // Of all columns of a projection, or of a change of it.
    Tensor Queries(const Tensor& all) const {
      return Turned(SplitHeads(all, run.q_begin, run.query_heads(), run.head.qk_width), query_turn);
    }
    Tensor Keys(const Tensor& all) const {
      return Repeated(Turned(SplitHeads(all, run.k_begin, run.count, run.head.qk_width), key_turn),
                      group());
    }
    Tensor Values(const Tensor& all) const {
      return Repeated(SplitHeads(all, run.v_begin, run.count, run.head.vo_width), group());
    }
  };

  // Derivatives of sum(error * output) by what the readers put out: [sequences, tokens, columns].
  std::vector<Tensor> PullToReaders(const Tensor& error) const {
    const Tensor back = at::matmul(error, output_.weight);
    std::vector<Tensor> queries, keys, values;
    int64_t begin = 0;
    for (const Heads& heads : runs_) {
      const int64_t width = heads.run.head.vo_width, group = heads.group();
      const Tensor e = SplitHeads(back, begin, heads.run.query_heads(), width);
      begin += heads.run.query_heads() * width;
      values.push_back(MergeHeads(SumOfQueries(at::matmul(heads.p.transpose(-1, -2), e), group)));
      const Tensor scores = at::matmul(e, heads.v.transpose(-1, -2))
                                .sub_((e * heads.z).sum(-1, /*keepdim=*/true))
                                .mul_(heads.p)
                                .mul_(scale_);
      queries.push_back(
          MergeHeads(Heads::TurnedBack(at::matmul(scores, heads.k), heads.query_turn)));
      keys.push_back(MergeHeads(Heads::TurnedBack(
          SumOfQueries(at::matmul(scores.transpose(-1, -2), heads.q), group), heads.key_turn)));
    }
    return {JoinRuns(queries), JoinRuns(keys), JoinRuns(values)};
  }

  const Linear& output_;
  double scale_;
  Tensor x_, mix_;
  RopeTable table_;
  std::vector<Heads> runs_;
};

}  // namespace

StepsTaken RefitAttention(const RefitVisit& visit, const GaussNewtonOptions& options,
                          const std::string& where, Attention& attention) {
  std::vector<Linear> maps;
  for (const Linear* map : MapsOf(attention)) maps.push_back(*map);
  const Linearise linearise = [&](const std::vector<Linear>& at, const Tensor& x) {
    return std::make_unique<const LinearisedAttention>(at, attention, x);
  };
  const StepsTaken taken = GaussNewton(visit, linearise, options, where + ": attention", maps);
  const std::vector<Linear*> to = MapsOf(attention);
  for (size_t i = 0; i < to.size(); ++i) *to[i] = maps[i];
  return taken;
}

}  // namespace condense
