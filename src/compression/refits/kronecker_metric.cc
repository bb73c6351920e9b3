#include "compression/refits/kronecker_metric.h"

#include <utility>

#include "base/error.h"
#include "tensor/linalg.h"

namespace condense {

Tensor DampedFactor(Tensor gram, double damping, const std::string& what) {
  RequireFinite(gram, what);
  const double mean = gram.diagonal().mean().item<double>();
  // Inputs that are all zero want no metric; any will do.
  if (!(mean > 0)) return at::eye(gram.size(0), gram.options());
  double added = 0;
  for (double wanted = damping; wanted < 2; wanted *= 10) {
    gram.diagonal().add_((wanted - added) * mean);
    added = wanted;
    const auto [lower, info] = at::linalg_cholesky_ex(gram, /*upper=*/false, /*check=*/false);
    if (info.item<int64_t>() == 0) return lower;
  }
  throw MakeError<NumericError>(
      "{}: Cholesky factorisation of {} failed even with the mean of its diagonal, {:.3e}, added",
      what, ShapeString(gram.sizes()), mean);
}

void KroneckerMetric::Solve(const Change& right, Change& solution) const {
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    solution[i].weight.copy_(at::cholesky_solve(right[i].weight.t(), block.lower).t());
    if (block.outputs.defined()) solution[i].weight.div_(block.outputs.unsqueeze(1));
    if (!right[i].bias.defined()) continue;
    solution[i].bias.copy_(right[i].bias).div_(rows_);
    if (block.outputs.defined()) solution[i].bias.div_(block.outputs);
  }
}

Change SolveInMetric(const StepProblem& problem, Change gradient) {
  Change residual = std::move(gradient);
  Change step = Copy(residual);
  SetZero(step);
  Change direction = Copy(residual), in_metric = Copy(residual);  // p and K p
  problem.metric.Solve(residual, direction);
  Change work = Copy(step);  // K^-1 r and (J^T J + ridge K) p in turn
  double size = Dot(residual, direction);
  for (int64_t k = 0; k < problem.iterations && size > 0; ++k) {
    SetZero(work);
    problem.add_curvature(direction, work);
    AddScaled(work, problem.ridge, in_metric);
    const double curvature = Dot(direction, work);
    if (!(curvature > 0)) break;
    const double length = size / curvature;
    AddScaled(step, length, direction);
    const Verdict verdict = problem.judge ? problem.judge(step) : Verdict::kGoOn;
    if (verdict == Verdict::kTakeBack) AddScaled(step, -length, direction);
    if (verdict != Verdict::kGoOn || k + 1 == problem.iterations) break;
    AddScaled(residual, -length, work);
    problem.metric.Solve(residual, work);
    const double next = Dot(residual, work);
    Scale(direction, next / size);
    AddScaled(direction, 1, work);
    Scale(in_metric, next / size);
    AddScaled(in_metric, 1, residual);
    size = next;
  }
  return step;
}

}  // namespace condense
