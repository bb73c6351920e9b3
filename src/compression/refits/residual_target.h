// Refit of a matrix that writes to the residual stream, so that the stream comes out as in the
// dense model.
//
// Rows y are what the matrix reads in the model compressed so far, rows t what it should add:
// what the dense model adds at this place, plus what the stream lacks by now. The normal equations
// of  min_W sum_n w_n ||t_n - y_n W - c||^2  are summed over batches in float64; no batch is
// stored. A ridge pulls towards the weights as they were, never towards zero. Which inputs stay
// is not decided here: selections and subspaces are in solvers/.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "calibration/statistics.h"
#include "compression/refits/row_gram.h"
#include "compression/solvers/indices.h"
#include "compression/solvers/regression.h"
#include "config/fields.h"
#include "model/linear.h"

namespace condense {

enum class TokenWeight { kNone, kInverseNorm };
template <>
struct EnumNames<TokenWeight> {
  static constexpr std::array names{std::pair{TokenWeight::kNone, "none"},
                                    std::pair{TokenWeight::kInverseNorm, "inverse_norm"}};
};
// Weights of tokens [n] by the stream [.., width] that they are added to; undefined: all alike.
// inverse_norm: 1 / ||x||^2, which a norm that follows would divide by.
Tensor TokenWeights(TokenWeight rule, const Tensor& stream);

// What a refit is fitted to.
struct TargetFit {
  Regression regression;           // of T on Y, centred with an intercept
  Tensor input_mean, target_mean;  // with an intercept
  bool of_old_weights = false;     // T is what the matrix makes of Y as it is: B = C W_old
  double rows = 0;                 // their weight, where the fit is of sums over batches

  bool intercept() const { return input_mean.defined(); }
  // The same inputs, with what the map y W + bias makes of them as targets. Without an intercept
  // the bias is no part of the targets.
  TargetFit WithOwnTargets(const Tensor& w, const Tensor& bias) const;
  // Of some of the inputs, or of all where `kept` is undefined; not centred. kept: [k] int64.
  RowGram InputGram(const Tensor& kept, DType dtype) const;
  // relative * mean(diag C).
  double Ridge(double relative) const;
};

// Sums over batches.
class TargetSums {
 public:
  explicit TargetSums(GramMath math = GramMath::kFloat32)
      : math_(math), gram_(math), products_(math) {}
  // inputs: [.., in], targets: [.., out], of any floating dtype; weights: [n] or undefined.
  void Add(const Tensor& inputs, const Tensor& targets, const Tensor& weights);
  // To be called once: the sums are given away. NumericError, naming `where`, if one is not finite.
  TargetFit Finish(bool intercept, const std::string& where);
  // What Finish(true) would have given, from what Finish(false) gave.
  TargetFit Centred(TargetFit fit) const;

 private:
  GramMath math_;
  GramSum gram_;
  ProductSum products_;
  Tensor input_sum_, target_sum_, target_norm_, weight_;
};

// From statistics of the dense model: its Gram matrix and mean (undefined: no intercept) of the
// inputs of y W + bias. What is fitted to is what this map makes.
TargetFit DenseFit(const Tensor& gram, const Tensor& mean, int64_t tokens, const Tensor& w,
                   const Tensor& bias);

struct FittedMap {
  Tensor weight;       // [k, out]
  Tensor bias;         // [out]; undefined without an intercept
  double damping = 0;  // absolute, beyond the ridge
  double condition = 1;
  std::optional<double> relative_error;  // ||T - Y Z W||_F / ||T||_F
};
// The map behind a selection of inputs: argmin over W of sum ||t - y_S W - c||^2 + ridge
// ||W - start_S||^2. start [in, out].
FittedMap FitKept(const TargetFit& fit, const Indices& kept, const Tensor& start,
                  double relative_ridge);
// The same behind a subspace of the inputs, first: Z [in, k] with orthonormal columns.
FittedMap FitThrough(const TargetFit& fit, const Tensor& first, const Tensor& start,
                     double relative_ridge);

// Moves maps that read the stream along with it: sums of the stream as it is now, normed, with the
// dense one as targets. W' = ((1 - share) I + share R) W, where R takes the present inputs to the
// dense ones as well as a linear map can (with a constant where the map has a bias). Returns the fit
// without a constant.
TargetFit FollowDrift(TargetSums& sums, double share, const std::string& where,
                      const std::vector<Linear*>& readers);

}  // namespace condense
