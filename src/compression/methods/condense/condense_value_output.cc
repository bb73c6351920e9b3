// `condense`, values and output: a subspace of the values of each key/value head, and the output
// projection refitted behind all of them together - even at full width, where it makes up for what
// queries and keys lost.
//
// Softmax rows sum to one, so a constant of the values may move to the output bias; a narrowed head
// passes its value bias on in this way.
#include <cmath>
#include <optional>

#include "compression/bases/module_pairs.h"
#include "compression/methods/condense/condense_modules.h"
#include "compression/solvers/reduced_rank.h"
#include "compression/solvers/value_output.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

// W_V' = W_V P for each key/value head, and W_O' behind them.
struct Narrowed {
  std::vector<Tensor> subspaces;  // P [d_h, k]
  FittedMap output;
};

class ValueOutputNarrower final : public ModuleNarrower {
 public:
  ValueOutputNarrower(const CondenseContext& context, const TargetFit& fit,
                      const BlockStatistics& values, const Block& block)
      : options_(context.options),
        fit_(fit),
        values_(values),
        heads_(block.attention.heads),
        width_(context.model.head_dim),
        w_o_(block.attention.o.weight.t().to(kF64)) {
    if (block.attention.o.bias.defined()) bias_ = block.attention.o.bias.to(kF64);
    if (block.attention.v.bias.defined()) {
      value_bias_ = SharedByQueries(block.attention.v.bias.to(kF64), heads_, width_);
    }
    if (options_.value != ValueBasis::kRegression) {
      for (size_t j = 0; j < heads_.size(); ++j) alone_.push_back(SubspacesOf(j));
      return;
    }
    std::vector<int64_t> queries;
    for (const HeadConfig& head : heads_) queries.push_back(head.queries);
    regression_.emplace(
        fit.regression, w_o_, queries,
        ReducedRankOptions{.relative_ridge = options_.lambda, .sweeps = options_.sweeps});
  }

  ModuleReport Narrow(int64_t width, Block& block) const override {
    ModuleReport report{.widths = Widths(width)};
    Attention& attention = block.attention;
    const DType dtype = attention.o.weight.scalar_type();
    FittedMap output;
    if (width == static_cast<int64_t>(heads_.size()) * width_) {
      if (!options_.joint_output) return report;
      output = FitKept(fit_, Complement({}, w_o_.size(0)), w_o_, options_.lambda);
    } else {
      const Narrowed narrowed = options_.joint_output && regression_
                                    ? ByRegression(report.widths)
                                    : BehindSubspaces(report.widths);
      output = narrowed.output;
      std::vector<Tensor> rows;
      for (size_t j = 0; j < heads_.size(); ++j) {
        const Tensor own =
            attention.v.weight.narrow(0, static_cast<int64_t>(j) * width_, width_).to(kF64);
        rows.push_back(at::matmul(narrowed.subspaces[j].t(), own));
        attention.heads[j].vo_width = report.widths[j];
      }
      attention.v.weight = at::cat(rows, 0).to(dtype);
      attention.v.bias = Tensor();
    }
    report.damping = output.damping;
    report.condition = output.condition;
    report.relative_error = output.relative_error;
    attention.o.weight = output.weight.t().to(dtype).contiguous();
    if (output.bias.defined()) attention.o.bias = output.bias.to(dtype);
    return report;
  }

 private:
  // Of each key/value head.
  std::vector<int64_t> Widths(int64_t columns) const {
    return HeadWidths(
        options_.head_budget, {.heads = static_cast<int64_t>(heads_.size()), .width = width_},
        columns,
        [&](size_t j) { return regression_ ? regression_->spectra()[j] : alone_[j].spectrum(); });
  }

  int64_t FirstRow(size_t j) const { return FirstQuery(heads_, j) * width_; }

  // The fit on values without their bias.
  TargetFit WithoutValueBias(TargetFit fit) const {
    if (value_bias_.defined()) fit.input_mean = fit.input_mean - value_bias_;
    return fit;
  }

  Narrowed ByRegression(const std::vector<int64_t>& widths) const {
    ReducedRankFit ranks = regression_->Fit(widths);
    FittedMap output{
        .weight = ranks.output, .damping = ranks.damping, .condition = ranks.condition};
    if (ranks.squared_norm > 0) {
      output.relative_error = std::sqrt(ranks.squared_error / ranks.squared_norm);
    }
    if (fit_.intercept()) {
      output.bias = Intercept(ranks.Narrow(WithoutValueBias(fit_).input_mean), fit_.target_mean,
                              ranks.output);
    }
    return {std::move(ranks.value), std::move(output)};
  }

  Narrowed BehindSubspaces(const std::vector<int64_t>& widths) const {
    Narrowed narrowed;
    std::vector<Tensor> blocks, found;
    if (regression_) found = regression_->Fit(widths).value;
    for (size_t j = 0; j < alone_.size(); ++j) found.push_back(alone_[j].Keep(widths[j]).value);
    for (size_t j = 0; j < heads_.size(); ++j) {
      narrowed.subspaces.push_back(SignFixedColumns(std::get<0>(at::linalg_qr(found[j]))));
      blocks.insert(blocks.end(), static_cast<size_t>(heads_[j].queries),
                    narrowed.subspaces.back());
    }
    const TargetFit fit = WithoutValueBias(options_.joint_output ? fit_ : HeadByHead());
    narrowed.output = FitThrough(fit, at::block_diag(blocks), w_o_, options_.lambda);
    return narrowed;
  }

  // The best of head j alone, with its dense output maps.
  ValueSubspaces SubspacesOf(size_t j) const {
    std::vector<Tensor> w_o;
    for (int64_t i = 0; i < heads_[j].queries; ++i) {
      w_o.push_back(w_o_.narrow(0, FirstRow(j) + i * width_, width_));
    }
    return ValueSubspaces(GramOf(j), std::move(w_o), {.balance = false});
  }

  // Of the values of key/value head j, or of what its query heads mix from them: [d_h, d_h].
  Tensor GramOf(size_t j) const {
    if (options_.value == ValueBasis::kValues) {
      return values_.Get(HeadGram(Tap::kValue))[static_cast<int64_t>(j)].to(w_o_.device());
    }
    Tensor sum = at::zeros({width_, width_}, w_o_.options());
    for (int64_t i = 0; i < heads_[j].queries; ++i) sum += OwnGram(FirstRow(j) + i * width_);
    return sum;
  }
  Tensor OwnGram(int64_t row) const {
    return fit_.regression.c.narrow(0, row, width_).narrow(1, row, width_);
  }

  // Each query head by itself, fitted to what it adds.
  TargetFit HeadByHead() const {
    TargetFit fit = fit_;
    std::vector<Tensor> blocks;
    for (int64_t row = 0; row < w_o_.size(0); row += width_) blocks.push_back(OwnGram(row));
    fit.regression.c = at::block_diag(blocks);
    return fit.WithOwnTargets(w_o_, bias_);
  }

  const TrialOptions& options_;
  const TargetFit& fit_;
  const BlockStatistics& values_;
  std::vector<HeadConfig> heads_;
  int64_t width_;             // dense width of a head
  Tensor w_o_;                // [n_h d_h, d]
  Tensor bias_, value_bias_;  // b_O [d], b_V [n_h d_h]; or undefined
  std::optional<ReducedRank> regression_;
  std::vector<ValueSubspaces> alone_;  // of each head, without regression
};

}  // namespace

StatRequests CondenseValueRequests(const TrialOptions& options) {
  if (options.value == ValueBasis::kValues) return {HeadGram(Tap::kValue)};
  return {};
}

ModuleNarrowerPointer MakeValueOutputNarrower(const CondenseContext& context, const TargetFit& fit,
                                              const BlockStatistics& values, const Block& block) {
  return std::make_unique<ValueOutputNarrower>(context, fit, values, block);
}

}  // namespace condense
