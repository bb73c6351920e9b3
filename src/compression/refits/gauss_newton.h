// Refit of all matrices of a narrowed module to a target, by Gauss-Newton.
//
// A closed form moves the matrix that writes to the residual stream, the writer; those that read
// the module's input, the readers, stay what a selection left of them. Here all of them move: with
// theta the matrices and biases of the module y,
//
//   min_theta  sum_n w_n ||t_n - y(x_n; theta)||^2.
//
// A step linearises y in theta and minimises sum_n w_n ||r_n - J_n m||^2 + ridge m^T K m by
// preconditioned conjugate gradients. K, which is also the preconditioner, takes J^T J apart into
// the blocks of the matrices, each the Gram matrix of its inputs beside the energies of its outputs
// (Kronecker factors as in Martens and Grosse, arXiv 1503.05671, with a diagonal on the side of the
// outputs). A step that does not lower the loss is halved, and left out when that does not help:
// the loss never rises.
//
// No batch is stored: every product is a pass over the rows. The modules themselves are in
// mlp_refit.h and attention_refit.h.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/linear.h"

namespace condense {

// A change of a linear map, or a derivative by it. The bias is undefined where the map has none.
struct MapChange {
  Tensor weight, bias;

  // rows [..., in] -> what the change adds to the map's output, [..., out].
  Tensor Apply(const Tensor& rows) const;
  // += the derivative by this map of sum(gradient * output): gradient [..., out], inputs [..., in].
  void Collect(const Tensor& gradient, const Tensor& inputs);
};
using Change = std::vector<MapChange>;  // one for each map of a module

// A module to first order in its maps, at some inputs. Leading dimensions are the inputs' own;
// everything is in the dtype of the maps.
class LinearisedModule {
 public:
  virtual ~LinearisedModule() = default;
  virtual Tensor Output() const = 0;                              // [..., out]
  virtual const Tensor& hidden() const = 0;                       // what the writer reads, [..., k]
  virtual Tensor Push(const Change& change) const = 0;            // J change, [..., out]
  virtual void Pull(const Tensor& error, Change& sum) const = 0;  // sum += J^T error [..., out]
  // For each reader [out of it]: sum over rows of ||d module's output / d its output||^2, or an
  // estimate. weights: [..., 1], of the rows, or undefined.
  virtual std::vector<Tensor> Energies(const Tensor& weights) const = 0;
};
// maps: the readers, then the writer.
using Linearise = std::function<std::unique_ptr<const LinearisedModule>(
    const std::vector<Linear>& maps, const Tensor& inputs)>;

struct RefitRows {
  Tensor inputs, targets;  // [..., in], [..., out]: what the module reads, and should make of it
  Tensor weights;          // [...] or undefined: all alike
};
// Calls a function with every stride-th row, or sequence, in batches; the same ones each time. A
// batch is taken apart along its first dimension alone.
using RefitVisit =
    std::function<void(int64_t stride, const std::function<void(const RefitRows&)>& fn)>;

// Counts every n-th row through batches of any size.
class EveryNth {
 public:
  explicit EveryNth(int64_t n) : n_(n) {}
  // The first row of the next batch, of `items` rows, that is counted; `items` if none is.
  int64_t FirstOf(int64_t items);

 private:
  int64_t n_, next_ = 0;
};

struct GaussNewtonOptions {
  int64_t steps = 2;
  int64_t iterations = 6;  // of conjugate gradients in a step
  int64_t stride = 1;      // every n-th row or sequence is used for curvature
};
struct StepsTaken {
  int64_t steps = 0;
  double squared_error_before = 0, squared_error = 0;
};

// `where` names the module in errors: NumericError if a step is not finite.
StepsTaken GaussNewton(const RefitVisit& visit, const Linearise& linearise,
                       const GaussNewtonOptions& options, const std::string& where,
                       std::vector<Linear>& maps);

}  // namespace condense
