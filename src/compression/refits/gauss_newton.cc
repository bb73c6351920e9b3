#include "compression/refits/gauss_newton.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "compression/refits/kronecker_metric.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

constexpr int64_t kTileRows = 2048;  // that are worked on at a time
constexpr int64_t kHoldOut = 8;      // one sequence in so many
constexpr double kRidge = 1e-3;      // of a step, in the metric K
// Of a Gram matrix, times its mean diagonal: of the module's inputs, and of what the writer reads.
constexpr double kInputDamping = 1e-2, kHiddenDamping = 1e-4;
constexpr double kEnergyFloor = 1e-3;  // of the energy of an output, times the mean
constexpr int kHalvings = 6;

// Sum of the weights of rows, which are all one where they are undefined.
class RowTotal {
 public:
  // rows: [..., out]; weights: [..., 1].
  void Add(const Tensor& rows, const Tensor& weights) {
    if (weights.defined()) {
      AddTo(weighted_, weights.sum(kF64));
    } else {
      plain_ += static_cast<double>(rows.numel() / rows.size(-1));
    }
  }
  double value() const { return plain_ + (weighted_.defined() ? weighted_.item<double>() : 0.0); }

 private:
  double plain_ = 0;
  Tensor weighted_;
};

Tensor Weighted(const Tensor& rows, const Tensor& weights) {
  return weights.defined() ? rows * weights : rows;
}

void AddGram(Tensor& sum, const Tensor& rows, const Tensor& weights) {
  const Tensor flat = (weights.defined() ? rows * weights.sqrt() : rows).flatten(0, -2);
  if (!sum.defined()) sum = at::zeros({flat.size(1), flat.size(1)}, flat.options());
  sum.addmm_(flat.t(), flat);
}

class Refit {
 public:
  Refit(const RefitVisit& visit, const ModuleForm& module, const GaussNewtonOptions& options,
        const std::string& where, std::vector<Linear>& maps)
      : visit_(visit),
        module_(module),
        options_(options),
        where_(where),
        maps_(maps),
        hidden_(options.hidden),
        work_(Wide(maps)) {}

  StepsTaken Run() {
    StepsTaken taken;
    if (options_.steps == 0) return taken;
    const double start = LossOf(work_);
    if (!std::isfinite(start)) {
      throw MakeError<NumericError>("{}: the loss of the refit is not finite", where_);
    }
    const MapChange forgotten = ForgetHeldOut();
    double now = forgotten.weight.defined() ? LossOf(work_) : start;
    taken.squared_error_before = now;
    while (taken.steps < options_.steps) {
      const bool zero_of_writer = options_.writer_fitted && taken.steps == 0;
      const Change step = Step(zero_of_writer ? PullTo::kReaders : PullTo::kAll, now);
      if (!Advance(now, step)) break;
      ++taken.steps;
    }
    taken.squared_error = now;
    LogDebug("{}: {} steps, {} iterations, {} trial steps; loss {:.4e}, {:.4e} -> {:.4e}", where_,
             taken.steps, iterations_, tried_, start, taken.squared_error_before, now);
    if (taken.steps > 0 && forgotten.weight.defined()) {
      Remember(forgotten);
      if (!(LossOf(work_) <= start)) return {.squared_error_before = now, .squared_error = now};
    }
    if (taken.steps > 0) Store();
    return taken;
  }

 private:
  using Maps = std::vector<Linear>;

  // In float32 at least.
  static Maps Wide(const Maps& maps) {
    Maps wide = maps;
    for (Linear& map : wide) {
      const DType dtype = at::promote_types(map.weight.scalar_type(), kF32);
      map.weight = map.weight.to(dtype);
      if (map.bias.defined()) map.bias = map.bias.to(dtype);
    }
    return wide;
  }
  void Store() {
    for (size_t i = 0; i < maps_.size(); ++i) {
      Linear& to = maps_[i];
      to.weight = work_[i].weight.to(to.weight.scalar_type()).contiguous();
      if (to.bias.defined()) to.bias = work_[i].bias.to(to.bias.scalar_type());
    }
  }

  // Some rows.
  struct Tile {
    Tensor inputs, targets;
    Tensor weights;  // [..., 1] or undefined
  };
  // A module linearised at the rows of a tile.
  struct LinearTile {
    std::unique_ptr<const LinearisedModule> module;
    Tensor weights;
  };

  template <class Fn>
  void VisitTiles(RowSet set, Fn&& fn) const {
    const DType dtype = work_.back().weight.scalar_type();
    visit_(set, [&](const RefitRows& rows) {
      const int64_t items = rows.inputs.size(0);
      if (items == 0) return;
      const int64_t rows_of_an_item = rows.inputs.numel() / (items * rows.inputs.size(-1));
      const int64_t tile_items = std::max<int64_t>(1, kTileRows / rows_of_an_item);
      for (int64_t begin = 0; begin < items; begin += tile_items) {
        const int64_t count = std::min(tile_items, items - begin);
        const auto tile = [&](const Tensor& all) { return all.narrow(0, begin, count).to(dtype); };
        fn(Tile{.inputs = tile(rows.inputs),
                .targets = tile(rows.targets),
                .weights = rows.weights.defined() ? tile(rows.weights).unsqueeze(-1) : Tensor()});
      }
    });
  }

  // Of the rows that are held out; of all if none are.
  double LossOf(const Maps& maps) const {
    Tensor sum;
    const auto add = [&](const Tile& tile) {
      const Tensor residual = tile.targets - module_.forward(maps, tile.inputs);
      AddTo(sum, (residual * Weighted(residual, tile.weights)).sum(kF64));
    };
    VisitTiles(RowSet::kHeldOut, add);
    if (!sum.defined()) {
      VisitTiles(RowSet::kCurvature, add);
      VisitTiles(RowSet::kGradient, add);
    }
    return sum.defined() ? sum.item<double>() : 0.0;
  }

  // What a fitted writer owes to the rows that are held out is taken from it: returned, undefined
  // where that cannot be told.
  MapChange ForgetHeldOut() {
    if (!options_.writer_fitted || !hidden_.sum.defined()) return {};
    Linear& writer = work_.back();
    const DType dtype = writer.weight.scalar_type();
    MapChange gradient = ZeroChange({writer})[0];
    Tensor gram, sum;
    RowTotal rows;
    VisitTiles(RowSet::kHeldOut, [&](const Tile& tile) {
      const auto module = module_.linearise(work_, tile.inputs);
      gradient.Collect(Weighted(tile.targets - module->Output(), tile.weights), module->hidden());
      AddGram(gram, module->hidden(), tile.weights);
      AddTo(sum, Weighted(module->hidden(), tile.weights).flatten(0, -2).sum(0));
      rows.Add(tile.targets, tile.weights);
    });
    if (!gram.defined()) return {};
    hidden_.sum = hidden_.sum.to(dtype).sub_(gram);
    const double left = hidden_.rows - rows.value();
    // With a bias the other parameters see centred rows.
    Tensor centred = hidden_.sum.clone(), total;
    if (writer.bias.defined()) {
      total = (hidden_.mean * hidden_.rows - sum).to(dtype);
      centred.sub_(at::outer(total, total / left));
      gradient.weight.sub_(at::outer(gradient.bias, total / left));
    }
    hidden_.rows = left;
    const Tensor lower = DampedFactor(std::move(centred), kHiddenDamping,
                                      where_ + ": Gram matrix without the rows that are held out");
    MapChange owed{.weight = at::cholesky_solve(gradient.weight.t(), lower).t().contiguous()};
    if (writer.bias.defined()) {
      owed.bias = (gradient.bias - at::matmul(owed.weight, total)).div_(left);
      writer.bias = writer.bias - owed.bias;
    }
    writer.weight = writer.weight - owed.weight;
    return owed;
  }
  void Remember(const MapChange& owed) {
    Linear& writer = work_.back();
    writer.weight = writer.weight + owed.weight;
    if (writer.bias.defined()) writer.bias = writer.bias + owed.bias;
  }

  // What the first pass collects for the metric, from the rows of the curvature.
  struct MetricSums {
    Tensor inputs, hidden;
    std::vector<Tensor> energies;
  };
  void Collect(MetricSums& sums, const Tile& tile, const LinearisedModule& module) const {
    if (!options_.inputs.sum.defined()) AddGram(sums.inputs, tile.inputs, tile.weights);
    if (!hidden_.sum.defined()) AddGram(sums.hidden, module.hidden(), tile.weights);
    const std::vector<Tensor> energies = module.Energies(tile.weights);
    sums.energies.resize(energies.size());
    for (size_t i = 0; i < energies.size(); ++i) AddTo(sums.energies[i], energies[i]);
  }

  // rows: the weight of the rows that are fitted; seen: of those in the sums.
  KroneckerMetric MakeMetric(MetricSums sums, double rows, double seen) const {
    const DType dtype = work_.back().weight.scalar_type();
    const auto factor = [&](const RowGram& known, Tensor& sum, double damping, const char* what) {
      Tensor gram = known.sum.defined() ? known.sum.to(dtype, /*non_blocking=*/false, /*copy=*/true)
                                        : std::move(sum);
      gram.mul_(rows / (known.sum.defined() ? known.rows : seen));
      return DampedFactor(std::move(gram), damping,
                          fmt::format("{}: Gram matrix of {}", where_, what));
    };
    const Tensor read = factor(options_.inputs, sums.inputs, kInputDamping, "its inputs");
    std::vector<KroneckerMetric::Block> blocks;
    for (const Tensor& sum : sums.energies) {
      const Tensor energy = (sum / seen).to(dtype), mean = energy.mean();
      // Outputs that do nothing are not to be divided by.
      const Tensor floor = at::where(mean > 0, mean * kEnergyFloor, at::ones_like(mean));
      blocks.push_back({energy + floor, read});
    }
    blocks.push_back(
        {Tensor(), factor(hidden_, sums.hidden, kHiddenDamping, "what its last matrix reads")});
    return {std::move(blocks), rows};
  }

  // argmin_m ||r - J m||^2 + ridge m^T K m, as far as the iterations go. loss: of the rows that
  // decide, before the step.
  Change Step(PullTo to, double loss) {
    Change gradient = ZeroChange(work_);
    RowTotal rows, seen;
    MetricSums sums;
    kept_.clear();
    int64_t kept_bytes = 0;
    bool keeps = true;
    const auto pull = [&](const Tile& tile, const LinearisedModule& module) {
      const Tensor residual = tile.targets - module.Output();
      module.Pull(Weighted(residual, tile.weights), to, gradient);
      rows.Add(tile.targets, tile.weights);
    };
    VisitTiles(RowSet::kCurvature, [&](const Tile& tile) {
      auto module = module_.linearise(work_, tile.inputs);
      pull(tile, *module);
      seen.Add(tile.targets, tile.weights);
      if (!metric_) Collect(sums, tile, *module);
      kept_bytes += module->bytes();
      keeps = keeps && kept_bytes <= options_.kept_bytes;
      if (keeps) kept_.push_back({std::move(module), tile.weights});
    });
    VisitTiles(RowSet::kGradient,
               [&](const Tile& tile) { pull(tile, *module_.linearise(work_, tile.inputs)); });
    const double all = rows.value(), part = seen.value();
    if (!(part > 0)) return ZeroChange(work_);
    if (!metric_) metric_ = MakeMetric(std::move(sums), all, part);
    StepProblem problem{.metric = *metric_,
                        .ridge = kRidge,
                        .iterations = options_.iterations,
                        .add_curvature = [&](const Change& change, Change& sum) {
                          ++iterations_;
                          AddCurvature(change, keeps, sum);
                          if (all != part) Scale(sum, all / part);
                        }};
    if (options_.worthwhile > 0) problem.judge = Judge(loss);
    Change step = SolveInMetric(problem, std::move(gradient));
    kept_.clear();
    for (const MapChange& map : step) RequireFinite(map.weight, where_ + ": step of the refit");
    return step;
  }

  // By the rows that decide. A first iteration that does not help may still do so in part.
  std::function<Verdict(const Change&)> Judge(double loss) const {
    return [this, least = loss, first = true](const Change& step) mutable {
      const double there = LossOf(Moved(work_, 1, step));
      const bool only = std::exchange(first, false);
      if (!(there < least)) return only ? Verdict::kEnough : Verdict::kTakeBack;
      const bool pays = there < least * (1 - options_.worthwhile);
      least = there;
      return pays ? Verdict::kGoOn : Verdict::kEnough;
    };
  }

  // all_kept: no row has to be linearised again.
  void AddCurvature(const Change& change, bool all_kept, Change& sum) const {
    for (const LinearTile& tile : kept_) tile.module->AddCurvature(change, tile.weights, sum);
    if (all_kept) return;
    size_t index = 0;
    VisitTiles(RowSet::kCurvature, [&](const Tile& tile) {
      if (index++ < kept_.size()) return;
      module_.linearise(work_, tile.inputs)->AddCurvature(change, tile.weights, sum);
    });
  }

  // Takes the step, or a half of it and so on, whichever leaves least: false when none lowers the
  // loss.
  bool Advance(double& now, const Change& step) {
    Maps best;
    double scale = 1;
    for (int tries = 0; tries <= kHalvings; ++tries, scale /= 2) {
      Maps moved = Moved(work_, scale, step);
      const double loss = LossOf(moved);
      ++tried_;
      if (loss < now) {
        now = loss;
        best = std::move(moved);
      } else if (!best.empty()) {
        break;
      }
    }
    if (best.empty()) return false;
    work_ = std::move(best);
    return true;
  }

  const RefitVisit& visit_;
  const ModuleForm& module_;
  const GaussNewtonOptions& options_;
  const std::string& where_;
  Maps& maps_;
  RowGram hidden_;  // as in the options, of the rows that are not forgotten
  Maps work_;
  std::optional<KroneckerMetric> metric_;
  int64_t iterations_ = 0, tried_ = 0;
  std::vector<LinearTile> kept_;  // of the first rows of the curvature, at work_
};

}  // namespace

bool RowSplit::HeldOut(int64_t sequence) const {
  if (sequences_ < kHoldOut) return sequences_ > 1 && sequence + 1 == sequences_;
  return sequence % kHoldOut == kHoldOut - 1;
}

Indices RowSplit::Next(RowSet set, int64_t sequences, int64_t tokens) {
  Indices items;
  const int64_t per_sequence = items_ == Items::kTokens ? tokens : 1;
  for (int64_t item = 0; item < sequences * per_sequence; ++item) {
    RowSet of = RowSet::kHeldOut;
    if (!HeldOut(sequence_ + item / per_sequence)) {
      of = fitted_++ % stride_ == 0 ? RowSet::kCurvature : RowSet::kGradient;
    }
    if (of == set) items.push_back(item);
  }
  sequence_ += sequences;
  return items;
}

StepsTaken GaussNewton(const RefitVisit& visit, const ModuleForm& module,
                       const GaussNewtonOptions& options, const std::string& where,
                       std::vector<Linear>& maps) {
  return Refit(visit, module, options, where, maps).Run();
}

}  // namespace condense
