// MoDeGPT type III: narrow values and output projection to the best common subspaces
// (methods.md 1.4).
//
// Softmax rows sum to one, so a constant row c may be moved from the values to the output bias:
// A(V) W_O = A(V - 1c) W_O + c W_O. c is the value bias, or with vo_center the mean of the values.
#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "compression/bases/module_pairs.h"
#include "compression/methods/modegpt/modegpt_modules.h"
#include "compression/solvers/refit.h"
#include "compression/solvers/value_output.h"

namespace condense {
namespace {

// What one key/value head becomes: T [d_h, k] and the output maps of its query heads [k, d].
struct HeadResult {
  Tensor value;
  std::vector<Tensor> output;
  double squared_error = 0, squared_norm = 0;
};

class ValueOutput {
 public:
  explicit ValueOutput(const ModuleInput& input)
      : input_(input),
        attention_(input.dense.attention),
        width_(input.model.head_dim),
        heads_(static_cast<int64_t>(attention_.heads.size())),
        value_bias_(attention_.v.bias.defined() ? attention_.v.bias.to(kF64) : Tensor()),
        w_o_(attention_.o.weight.t().to(kF64)) {
    if (centers()) {
      shift_ = StatisticOf(input, Mean(Tap::kValue));
    } else {
      shift_ = value_bias_;
    }
    if (shift_.defined()) mix_shift_ = SharedByQueries(shift_, attention_.heads, width_);
    if (input.options.vo_refit == VoRefit::kJointHeads) mix_gram_ = MixGram();
  }

  ModuleReport Compress(int64_t columns, Block& block) const {
    const std::vector<ValueSubspaces> subspaces = Subspaces();
    const std::vector<int64_t> widths = Widths(subspaces, columns);
    std::vector<HeadResult> results;
    ModuleReport report{.widths = widths};
    double error = 0, norm = 0;
    for (int64_t j = 0; j < heads_; ++j) {
      results.push_back(
          Narrowed(j, subspaces[static_cast<size_t>(j)], widths[static_cast<size_t>(j)]));
      error += results.back().squared_error;
      norm += results.back().squared_norm;
    }
    std::vector<Tensor> outputs;
    for (const HeadResult& head : results) {
      outputs.insert(outputs.end(), head.output.begin(), head.output.end());
    }
    Tensor output = at::cat(outputs, 0);  // [sum over query heads of k, d]
    if (input_.options.vo_refit == VoRefit::kJointHeads) {
      const RefitResult refit =
          RefitSecondFactor(mix_gram_, Blocks(results), w_o_, output, input_.options.refit_mu);
      output = refit.weight;
      report.damping = refit.damping;
      report.condition = refit.condition;
      error = refit.squared_error, norm = refit.squared_norm;
    }
    if (norm > 0) report.relative_error = std::sqrt(error / norm);
    Apply(results, output, block);
    return report;
  }

 private:
  bool centers() const { return input_.options.Centers(value_bias_.defined()); }
  int64_t queries(int64_t j) const { return attention_.heads[static_cast<size_t>(j)].queries; }
  int64_t FirstQueryOf(int64_t j) const {
    return FirstQuery(attention_.heads, static_cast<size_t>(j));
  }
  // W_O of query head i: [d_h, d].
  Tensor OutputOf(int64_t i) const { return w_o_.narrow(0, i * width_, width_); }

  // Gram matrix of the value mix, all heads, after the shift.
  Tensor MixGram() const {
    const Tensor c = StatisticOf(input_, Gram(Tap::kValueMix));
    if (!shift_.defined()) return c;
    return ShiftedGram(c, StatisticOf(input_, Mean(Tap::kValueMix)), mix_shift_,
                       input_.statistics.tokens);
  }

  // The same of query head i alone: [d_h, d_h].
  Tensor MixGramOf(int64_t i) const {
    const int64_t first = i * width_;
    if (mix_gram_.defined()) return mix_gram_.narrow(0, first, width_).narrow(1, first, width_);
    const Tensor c = StatisticOf(input_, HeadGram(Tap::kValueMix))[i];
    if (!shift_.defined()) return c;
    return ShiftedGram(c, StatisticOf(input_, Mean(Tap::kValueMix)).narrow(0, first, width_),
                       mix_shift_.narrow(0, first, width_), input_.statistics.tokens);
  }

  // The Gram matrix that decides the subspace of key/value head j, after the shift.
  Tensor HeadGramOf(int64_t j) const {
    if (input_.options.vo_stat == VoStat::kAttended) {
      Tensor sum = at::zeros({width_, width_}, w_o_.options());
      for (int64_t i = 0; i < queries(j); ++i) sum += MixGramOf(FirstQueryOf(j) + i);
      return sum;
    }
    const Tensor c = StatisticOf(input_, HeadGram(Tap::kValue))[j];
    if (!shift_.defined()) return c;
    return ShiftedGram(c, StatisticOf(input_, Mean(Tap::kValue)).narrow(0, j * width_, width_),
                       shift_.narrow(0, j * width_, width_), input_.statistics.tokens);
  }

  std::vector<ValueSubspaces> Subspaces() const {
    const ValueOptions options{.joint = input_.options.vo_group == VoGroup::kJoint,
                               .balance = input_.options.vo_balance == VoBalance::kRms};
    std::vector<ValueSubspaces> subspaces;
    for (int64_t j = 0; j < heads_; ++j) {
      std::vector<Tensor> w_o;
      for (int64_t i = 0; i < queries(j); ++i) w_o.push_back(OutputOf(FirstQueryOf(j) + i));
      subspaces.emplace_back(HeadGramOf(j), std::move(w_o), options);
      if (subspaces.back().dead()) {
        LogWarning(
            "layer {}: the values of key/value head {} are zero on the calibration set; its first "
            "channels are kept",
            input_.layer, j);
      }
    }
    return subspaces;
  }

  // Of each key/value head.
  std::vector<int64_t> Widths(const std::vector<ValueSubspaces>& subspaces, int64_t columns) const {
    return HeadWidths(input_.options.head_budget,
                      {.heads = heads_,
                       .width = width_,
                       .step = input_.options.RoundingFor(input_.model).vo_unit},
                      columns, [&](size_t j) { return subspaces[j].spectrum(); });
  }

  HeadResult Narrowed(int64_t j, const ValueSubspaces& subspaces, int64_t width) const {
    HeadResult result;
    result.squared_norm = subspaces.squared_norm();
    if (width == width_) {  // a head that pooling leaves at full width
      result.value = at::eye(width_, w_o_.options());
      for (int64_t i = 0; i < queries(j); ++i)
        result.output.push_back(OutputOf(FirstQueryOf(j) + i));
      return result;
    }
    ValueSubspace kept = subspaces.Keep(width);
    result.value = std::move(kept.value);
    result.output = std::move(kept.output);
    result.squared_error = kept.squared_error;
    return result;
  }

  // blockdiag of the subspaces, one for each query head: [n_h d_h, sum of k].
  Tensor Blocks(const std::vector<HeadResult>& results) const {
    std::vector<Tensor> blocks;
    for (const HeadResult& head : results) {
      blocks.insert(blocks.end(), head.output.size(), head.value);
    }
    return at::block_diag(blocks);
  }

  void Apply(const std::vector<HeadResult>& results, const Tensor& output, Block& block) const {
    Attention& attention = block.attention;
    const DType dtype = attention_.v.weight.scalar_type();
    std::vector<Tensor> rows, biases;
    for (int64_t j = 0; j < heads_; ++j) {
      const Tensor& t = results[static_cast<size_t>(j)].value;
      attention.heads[static_cast<size_t>(j)].vo_width = t.size(1);
      rows.push_back(at::matmul(t.t(), attention_.v.weight.narrow(0, j * width_, width_).to(kF64)));
      if (!centers()) continue;
      const Tensor mean = shift_.narrow(0, j * width_, width_);
      const Tensor rest =
          value_bias_.defined() ? value_bias_.narrow(0, j * width_, width_) - mean : -mean;
      biases.push_back(at::matmul(rest, t));
    }
    attention.v.weight = at::cat(rows, 0).to(dtype);
    attention.v.bias = biases.empty() ? Tensor() : at::cat(biases).to(dtype);
    attention.o.weight = output.t().to(dtype).contiguous();
    if (!shift_.defined()) return;
    Tensor bias = at::matmul(mix_shift_, w_o_);  // [d]
    if (attention_.o.bias.defined()) bias = bias + attention_.o.bias.to(kF64);
    attention.o.bias = bias.to(dtype);
  }

  const ModuleInput& input_;
  const Attention& attention_;
  int64_t width_, heads_;     // dense width of a head; key/value heads
  Tensor value_bias_;         // b_V or undefined
  Tensor w_o_;                // [n_h d_h, d]
  Tensor shift_, mix_shift_;  // c of each key/value head and of each query head; undefined: zero
  Tensor mix_gram_;           // [n_h d_h, n_h d_h], with vo_refit: joint_heads
};

}  // namespace

StatRequests ValueOutputRequests(const ModeGptOptions& options) {
  StatRequests requests{Mean(Tap::kValue)};
  const bool joint_heads = options.vo_refit == VoRefit::kJointHeads;
  const bool attended = options.vo_stat == VoStat::kAttended;
  if (!attended) requests.insert(HeadGram(Tap::kValue));
  if (joint_heads) requests.insert(Gram(Tap::kValueMix));
  if (attended && !joint_heads) requests.insert(HeadGram(Tap::kValueMix));
  if (attended || joint_heads) requests.insert(Mean(Tap::kValueMix));
  return requests;
}

ModuleReport CompressValueOutput(const ModuleInput& input, int64_t width, Block& block) {
  if (width == DenseWidth(input.model, Module::kVo)) {
    return {.widths =
                std::vector<int64_t>(input.dense.attention.heads.size(), input.model.head_dim)};
  }
  return ValueOutput(input).Compress(width, block);
}

}  // namespace condense
