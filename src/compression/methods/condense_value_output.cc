// `condense`, values and output: a subspace of the values of each key/value head, and the output
// projection refitted behind all of them together - even at full width, where it makes up for what
// queries and keys lost.
//
// Softmax rows sum to one, so a constant of the values may move to the output bias; a narrowed head
// passes its value bias on in this way.
#include <algorithm>

#include "compression/methods/condense_modules.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

class ValueOutput {
 public:
  ValueOutput(const CondenseContext& context, const TargetFit& fit, const BlockStatistics& values,
              const Block& block)
      : options_(context.options),
        fit_(fit),
        values_(values),
        attention_(block.attention),
        width_(context.model.head_dim),
        w_o_(attention_.o.weight.t().to(kF64)) {}

  // Orthonormal columns for each key/value head: [d_h, k].
  std::vector<Tensor> Subspaces(int64_t width) const {
    std::vector<Tensor> subspaces;
    for (size_t j = 0; j < attention_.heads.size(); ++j) {
      std::vector<Tensor> w_o;
      for (int64_t i = 0; i < attention_.heads[j].queries; ++i) w_o.push_back(OutputOf(j, i));
      const ValueSubspaces head(GramOf(j), std::move(w_o), {.balance = false});
      subspaces.push_back(SignFixedColumns(std::get<0>(at::linalg_qr(head.Keep(width).value))));
    }
    return subspaces;
  }

  FittedMap Output(const std::vector<Tensor>& subspaces, const Tensor& shift) const {
    TargetFit fit = options_.joint_output ? fit_ : HeadByHead();
    if (shift.defined()) fit.input_mean = fit.input_mean - shift;
    std::vector<Tensor> blocks;
    for (size_t j = 0; j < subspaces.size(); ++j) {
      blocks.insert(blocks.end(), static_cast<size_t>(attention_.heads[j].queries), subspaces[j]);
    }
    return FitThrough(fit, at::block_diag(blocks), w_o_, options_.lambda);
  }

 private:
  int64_t FirstRow(size_t j) const {
    int64_t queries = 0;
    for (size_t i = 0; i < j; ++i) queries += attention_.heads[i].queries;
    return queries * width_;
  }
  // W_O of query head i of key/value head j: [d_h, d].
  Tensor OutputOf(size_t j, int64_t i) const {
    return w_o_.narrow(0, FirstRow(j) + i * width_, width_);
  }
  // What the subspace of key/value head j has to carry: [d_h, d_h].
  Tensor GramOf(size_t j) const {
    if (options_.value == ValueBasis::kValues) {
      return values_.Get(HeadGram(Tap::kValue))[static_cast<int64_t>(j)].to(w_o_.device());
    }
    Tensor sum = at::zeros({width_, width_}, w_o_.options());
    for (int64_t i = 0; i < attention_.heads[j].queries; ++i) {
      const int64_t row = FirstRow(j) + i * width_;
      sum += fit_.c.narrow(0, row, width_).narrow(1, row, width_);
    }
    return sum;
  }
  // Each query head by itself, fitted to what it adds.
  TargetFit HeadByHead() const {
    TargetFit fit = fit_;
    std::vector<Tensor> blocks;
    for (int64_t row = 0; row < fit_.c.size(0); row += width_) {
      blocks.push_back(fit_.c.narrow(0, row, width_).narrow(1, row, width_));
    }
    fit.c = at::block_diag(blocks);
    return fit.WithOwnTargets(w_o_,
                              attention_.o.bias.defined() ? attention_.o.bias.to(kF64) : Tensor());
  }

  const CondenseOptions& options_;
  const TargetFit& fit_;
  const BlockStatistics& values_;
  const Attention& attention_;
  int64_t width_;  // dense width of a head
  Tensor w_o_;     // [n_h d_h, d]
};

// A row over key/value heads, repeated for the query heads of each: [n_h d_h].
Tensor SharedByQueries(const Tensor& row, const std::vector<HeadConfig>& heads, int64_t width) {
  std::vector<Tensor> parts;
  for (size_t j = 0; j < heads.size(); ++j) {
    parts.insert(parts.end(), static_cast<size_t>(heads[j].queries),
                 row.narrow(0, static_cast<int64_t>(j) * width, width));
  }
  return at::cat(parts);
}

}  // namespace

StatRequests CondenseValueRequests(const CondenseOptions& options) {
  if (options.value == ValueBasis::kValues) return {HeadGram(Tap::kValue)};
  return {};
}

ModuleReport FitValueOutput(const CondenseContext& context, const TargetFit& fit,
                            const BlockStatistics& values, int64_t width, Block& block) {
  Attention& attention = block.attention;
  const int64_t dense_width = context.model.head_dim;
  const bool narrows = width < dense_width;
  const DType dtype = attention.o.weight.scalar_type();
  ModuleReport report{.widths = std::vector<int64_t>(attention.heads.size(), width)};
  if (!narrows && !context.options.joint_output) return report;

  const ValueOutput module(context, fit, values, block);
  Tensor shift;
  if (narrows && attention.v.bias.defined()) {
    shift = SharedByQueries(attention.v.bias.to(kF64), attention.heads, dense_width);
  }
  const std::vector<Tensor> subspaces =
      narrows ? module.Subspaces(width)
              : std::vector<Tensor>(attention.heads.size(), at::eye(dense_width, fit.c.options()));
  const FittedMap fitted = module.Output(subspaces, shift);
  report.damping = fitted.damping;
  report.condition = fitted.condition;
  report.relative_error = fitted.relative_error;

  if (narrows) {
    std::vector<Tensor> rows;
    for (size_t j = 0; j < subspaces.size(); ++j) {
      const Tensor own =
          attention.v.weight.narrow(0, static_cast<int64_t>(j) * dense_width, dense_width);
      rows.push_back(at::matmul(subspaces[j].t(), own.to(kF64)));
      attention.heads[j].vo_width = width;
    }
    attention.v.weight = at::cat(rows, 0).to(dtype);
    attention.v.bias = Tensor();
  }
  attention.o.weight = fitted.weight.t().to(dtype).contiguous();
  if (fitted.bias.defined()) attention.o.bias = fitted.bias.to(dtype);
  return report;
}

}  // namespace condense
