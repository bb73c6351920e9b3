// Refit of all matrices of a narrowed module to a target, by Gauss-Newton.
//
// A closed form moves the matrix that writes to the residual stream, the writer; those that read
// the module's input, the readers, stay what a selection left of them. Here all of them move: with
// theta the matrices and biases of the module y,
//
//   min_theta  sum_n w_n ||t_n - y(x_n; theta)||^2.
//
// A step linearises y in theta and minimises sum_n w_n ||r_n - J_n m||^2 + ridge m^T K m by a few
// iterations of conjugate gradients, with the metric K of kronecker_metric.h, which is made once.
// With so many unknowns a step may fit the rows that it sees and nothing else. Some rows are
// therefore held out, and they decide: iterations end when they no longer lower their loss, a step
// is halved for as long as that lowers it, and left out if no part of it does. It never rises.
//
// A writer that a closed form fitted to all rows has seen those that are held out, and would win
// against any step. The steps therefore start from the writer that the closed form gives without
// them: with Y_h, R_h what it reads and what is missing there, C over the other rows,
//
//   W - (C + lambda I)^-1 Y_h^T R_h,
//
// and what was taken away is added again at the end.
//
// No batch is stored, but the linearised module at as many rows as fit; otherwise every product is
// a pass over the rows. The modules themselves are in mlp_refit.h and attention_refit.h.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "compression/refits/map_change.h"
#include "compression/refits/row_gram.h"
#include "compression/solvers/indices.h"

namespace condense {

// Which derivatives are wanted: those of all maps, or of all but the writer.
enum class PullTo { kAll, kReaders };

// A module to first order in its maps, at some inputs. Leading dimensions are the inputs' own;
// everything is in the type of the maps.
class LinearisedModule {
 public:
  virtual ~LinearisedModule() = default;
  virtual Tensor Output() const = 0;         // [..., out]
  virtual const Tensor& hidden() const = 0;  // what the writer reads, [..., k]
  // sum += J^T error; error: [..., out].
  virtual void Pull(const Tensor& error, PullTo to, Change& sum) const = 0;
  // sum += J^T diag(weights) J change. weights: [..., 1], of the rows, or undefined.
  virtual void AddCurvature(const Change& change, const Tensor& weights, Change& sum) const = 0;
  // For each reader [out of it]: sum over rows of ||d module's output / d its output||^2, or an
  // estimate.
  virtual std::vector<Tensor> Energies(const Tensor& weights) const = 0;
  // Of what it holds.
  virtual int64_t bytes() const = 0;
};
// maps: the readers, then the writer.
struct ModuleForm {
  std::function<Tensor(const std::vector<Linear>& maps, const Tensor& inputs)> forward;
  std::function<std::unique_ptr<const LinearisedModule>(const std::vector<Linear>& maps,
                                                        const Tensor& inputs)>
      linearise;
};

struct RefitRows {
  Tensor inputs, targets;  // [..., in], [..., out]: what the module reads, and should make of it
  Tensor weights;          // [...] or undefined: all alike
};
// Every row is in one of these.
enum class RowSet {
  kCurvature,  // in the gradient, and in products with the curvature
  kGradient,   // in the gradient alone
  kHeldOut,    // in the loss that decides; if there are none, all rows are
};
// Calls a function with the rows of a set in batches; the same ones each time. A batch is taken
// apart along its first dimension alone.
using RefitVisit = std::function<void(RowSet set, const std::function<void(const RefitRows&)>& fn)>;

// Divides the rows of a calibration set: one sequence in eight is held out, at least one where
// there are two; of the others every stride-th item, a sequence or a token, is in the curvature.
class RowSplit {
 public:
  enum class Items { kSequences, kTokens };
  RowSplit(int64_t sequences, Items items, int64_t stride)
      : sequences_(sequences), items_(items), stride_(stride) {}
  bool HeldOut(int64_t sequence) const;
  // Items of a set in the next batch, of `sequences` of `tokens` each. A batch of tokens counts
  // them through its sequences.
  Indices Next(RowSet set, int64_t sequences, int64_t tokens);

 private:
  int64_t sequences_;
  Items items_;
  int64_t stride_, sequence_ = 0, fitted_ = 0;  // before the next batch
};

struct GaussNewtonOptions {
  int64_t steps = 2;
  int64_t iterations = 6;  // of conjugate gradients in a step, at most
  // What an iteration has to lower the loss that decides by, as a share of it, for another one to
  // follow; 0: all iterations are made, and nothing is looked at between them.
  double worthwhile = 0;
  // The writer is already the best one behind the readers, over all rows: its gradient is zero.
  bool writer_fitted = false;
  // Of what readers and writer read, at the start and over all rows, if they are known. With that
  // of the writer a fitted writer forgets the rows that are held out before they decide.
  RowGram inputs, hidden;
  // Memory for linearised modules between products with the curvature. Rows beyond it are
  // linearised again for each product.
  int64_t kept_bytes = int64_t{512} << 20;
};
struct StepsTaken {
  int64_t steps = 0;
  // Of the rows that decide, where the writer has not seen them if that is possible.
  double squared_error_before = 0, squared_error = 0;
};

// `where` names the module in errors: NumericError if a step is not finite.
StepsTaken GaussNewton(const RefitVisit& visit, const ModuleForm& module,
                       const GaussNewtonOptions& options, const std::string& where,
                       std::vector<Linear>& maps);

}  // namespace condense
