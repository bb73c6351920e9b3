#include "compression/refits/gauss_newton.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

constexpr int64_t kTileRows = 2048;  // that are worked on at a time
constexpr double kRidge = 1e-3;      // of a step, in the metric K
// Of a Gram matrix, times its mean diagonal: of the module's inputs, and of what the writer reads.
constexpr double kInputDamping = 1e-2, kHiddenDamping = 1e-4;
constexpr double kEnergyFloor = 1e-3;  // of the energy of an output, times the mean
constexpr int kHalvings = 6;

// Calls fn(a's tensor, b's tensor) for every parameter.
template <class Fn>
void ForEachPair(Change& a, const Change& b, Fn&& fn) {
  for (size_t i = 0; i < a.size(); ++i) {
    fn(a[i].weight, b[i].weight);
    if (a[i].bias.defined()) fn(a[i].bias, b[i].bias);
  }
}
double Dot(Change a, const Change& b) {
  double sum = 0;
  ForEachPair(a, b, [&](const Tensor& x, const Tensor& y) { sum += (x * y).sum().item<double>(); });
  return sum;
}
// a <- scale a + factor b
void Combine(Change& a, double scale, double factor, const Change& b) {
  ForEachPair(a, b, [&](Tensor& x, const Tensor& y) { x = scale * x + factor * y; });
}

// Sum of the weights [..., 1] of rows [..., out], which are all one where they are undefined.
double WeightOf(const Tensor& rows, const Tensor& weights) {
  return weights.defined() ? weights.sum(kF64).item<double>()
                           : static_cast<double>(rows.numel() / rows.size(-1));
}
Tensor Weighted(const Tensor& rows, const Tensor& weights) {
  return weights.defined() ? rows * weights : rows;
}

void AddGram(Tensor& sum, const Tensor& rows, const Tensor& weights) {
  const Tensor flat = (weights.defined() ? rows * weights.sqrt() : rows).flatten(0, -2);
  AddTo(sum, at::matmul(flat.t(), flat));
}

// The blocks of J^T J as Kronecker products: outputs (diagonal) beside inputs.
class Metric {
 public:
  struct Inputs {
    Tensor gram;  // [in, in], damped
    Factor factor;
  };
  struct Block {
    Tensor outputs;  // [out]; undefined: ones
    std::shared_ptr<const Inputs> inputs;
  };
  std::vector<Block> blocks;
  double rows = 0;  // their weight: curvature of a bias, beside `outputs`

  Change Times(const Change& change) const {
    return ForEachMap(change, [this](const Block& block, const MapChange& map, MapChange& out) {
      out.weight = at::matmul(map.weight, block.inputs->gram);
      if (block.outputs.defined()) out.weight.mul_(block.outputs.unsqueeze(1));
      if (map.bias.defined()) out.bias = map.bias * BiasScale(block);
    });
  }
  Change Solve(const Change& change) const {
    return ForEachMap(change, [this](const Block& block, const MapChange& map, MapChange& out) {
      out.weight = CholeskySolve(block.inputs->factor, map.weight.t()).t();
      if (block.outputs.defined()) out.weight = out.weight / block.outputs.unsqueeze(1);
      if (map.bias.defined()) out.bias = map.bias / BiasScale(block);
    });
  }

 private:
  template <class Fn>
  Change ForEachMap(const Change& change, Fn&& fn) const {
    Change out(change.size());
    for (size_t i = 0; i < change.size(); ++i) fn(blocks[i], change[i], out[i]);
    return out;
  }
  // The energies of the outputs are means over rows, their inputs sums.
  Tensor BiasScale(const Block& block) const {
    return block.outputs.defined() ? block.outputs * rows
                                   : at::full({}, rows, block.inputs->gram.options());
  }
};

class Refit {
 public:
  Refit(const RefitVisit& visit, const Linearise& linearise, const GaussNewtonOptions& options,
        const std::string& where, std::vector<Linear>& maps)
      : visit_(visit),
        linearise_(linearise),
        options_(options),
        where_(where),
        maps_(maps),
        work_(Wide(maps)) {}

  StepsTaken Run() {
    StepsTaken taken;
    Evaluation now = Evaluate(work_, options_.steps > 0);
    taken.squared_error_before = taken.squared_error = now.error;
    while (taken.steps < options_.steps) {
      const bool last = taken.steps + 1 == options_.steps;
      if (!Advance(now, StepFrom(now), /*derivatives=*/!last)) break;
      ++taken.steps;
      taken.squared_error = now.error;
    }
    if (taken.steps > 0) Store();
    return taken;
  }

 private:
  using Maps = std::vector<Linear>;
  // The loss at some parameters, and what a step from there wants.
  struct Evaluation {
    double error = 0, rows = 0;      // rows: their weight
    Change gradient;                 // J^T r
    Tensor input_gram, hidden_gram;  // of the rows that readers and writer read
    std::vector<Tensor> energies;    // of the readers, means over rows
  };

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

  Change Zero() const {
    Change zero;
    for (const Linear& map : work_) {
      zero.push_back({at::zeros_like(map.weight, kF64), {}});
      if (map.bias.defined()) zero.back().bias = at::zeros_like(map.bias, kF64);
    }
    return zero;
  }

  // Some rows, with the module linearised there.
  struct Tile {
    std::unique_ptr<const LinearisedModule> module;
    Tensor inputs, targets;
    Tensor weights;  // [..., 1] or undefined
  };
  // Calls fn(tile) for every stride-th row or sequence.
  template <class Fn>
  void VisitTiles(const Maps& maps, int64_t stride, Fn&& fn) const {
    const DType dtype = maps.back().weight.scalar_type();
    visit_(stride, [&](const RefitRows& rows) {
      const int64_t items = rows.inputs.size(0);
      if (items == 0) return;
      const int64_t rows_of_an_item = rows.inputs.numel() / (items * rows.inputs.size(-1));
      const int64_t tile_items = std::max<int64_t>(1, kTileRows / rows_of_an_item);
      for (int64_t begin = 0; begin < items; begin += tile_items) {
        const int64_t count = std::min(tile_items, items - begin);
        const auto tile = [&](const Tensor& all) { return all.narrow(0, begin, count).to(dtype); };
        const Tensor inputs = tile(rows.inputs);
        fn(Tile{.module = linearise_(maps, inputs),
                .inputs = inputs,
                .targets = tile(rows.targets),
                .weights = rows.weights.defined() ? tile(rows.weights).unsqueeze(-1) : Tensor()});
      }
    });
  }

  Evaluation Evaluate(const Maps& maps, bool derivatives) const {
    Evaluation at;
    if (derivatives) at.gradient = Zero();
    int64_t tiles = 0;
    double rows_of_energies = 0;
    VisitTiles(maps, 1, [&](const Tile& tile) {
      const Tensor residual = tile.targets - tile.module->Output();
      const Tensor weighted = Weighted(residual, tile.weights);
      at.error += (residual * weighted).sum(kF64).item<double>();
      if (!derivatives) return;
      tile.module->Pull(weighted, at.gradient);
      at.rows += WeightOf(tile.targets, tile.weights);
      AddGram(at.input_gram, tile.inputs, tile.weights);
      AddGram(at.hidden_gram, tile.module->hidden(), tile.weights);
      if (tiles++ % options_.stride != 0) return;
      rows_of_energies += WeightOf(tile.targets, tile.weights);
      const std::vector<Tensor> energies = tile.module->Energies(tile.weights);
      at.energies.resize(energies.size());
      for (size_t i = 0; i < energies.size(); ++i) AddTo(at.energies[i], energies[i]);
    });
    for (Tensor& sum : at.energies) sum = sum / rows_of_energies;
    return at;
  }

  Metric MetricAt(const Evaluation& at) const {
    const auto inputs = [&](const Tensor& gram, double damping, const char* what) {
      const double mean = gram.diagonal().mean().item<double>();
      const Tensor damped = gram + damping * mean * at::eye(gram.size(0), gram.options());
      return std::make_shared<const Metric::Inputs>(
          damped, CholeskyEscalated(damped, fmt::format("{}: Gram matrix of {}", where_, what)));
    };
    Metric metric{.blocks = {}, .rows = at.rows};
    const auto read = inputs(at.input_gram, kInputDamping, "its inputs");
    for (const Tensor& energy : at.energies) {
      const double mean = energy.mean().item<double>();
      // Outputs that do nothing are not to be divided by.
      metric.blocks.push_back({energy + (mean > 0 ? kEnergyFloor * mean : 1), read});
    }
    metric.blocks.push_back(
        {Tensor(), inputs(at.hidden_gram, kHiddenDamping, "what its last matrix reads")});
    return metric;
  }

  // (J^T J + ridge K) change, J^T J from a part of the rows.
  Change Product(const Metric& metric, const Change& change) const {
    Change narrow = change;
    const DType dtype = work_.back().weight.scalar_type();
    ForEachPair(narrow, change, [&](Tensor& to, const Tensor& from) { to = from.to(dtype); });
    Change product = Zero();
    double seen = 0;
    VisitTiles(work_, options_.stride, [&](const Tile& tile) {
      tile.module->Pull(Weighted(tile.module->Push(narrow), tile.weights), product);
      seen += WeightOf(tile.targets, tile.weights);
    });
    Combine(product, seen > 0 ? metric.rows / seen : 0, kRidge, metric.Times(change));
    return product;
  }

  // argmin_m ||r - J m||^2 + ridge m^T K m, as far as the iterations go.
  Change StepFrom(const Evaluation& at) const {
    const Metric metric = MetricAt(at);
    Change step = Zero(), residual = at.gradient, direction = metric.Solve(residual);
    double size = Dot(residual, direction);
    for (int64_t k = 0; k < options_.iterations && size > 0; ++k) {
      const Change product = Product(metric, direction);
      const double curvature = Dot(direction, product);
      if (!(curvature > 0)) break;
      Combine(step, 1, size / curvature, direction);
      if (k + 1 == options_.iterations) break;
      Combine(residual, 1, -size / curvature, product);
      const Change preconditioned = metric.Solve(residual);
      const double next = Dot(residual, preconditioned);
      Combine(direction, next / size, 1, preconditioned);
      size = next;
    }
    ForEachPair(step, step, [&](const Tensor& value, const Tensor&) {
      RequireFinite(value, where_ + ": step of the refit");
    });
    return step;
  }

  // Takes the step, or a half of it and so on: false when none lowers the loss.
  bool Advance(Evaluation& now, const Change& step, bool derivatives) {
    double scale = 1;
    for (int tries = 0; tries <= kHalvings; ++tries, scale /= 2) {
      Maps moved = work_;
      for (size_t i = 0; i < moved.size(); ++i) {
        const auto add = [&](Tensor& value, const Tensor& change) {
          if (value.defined()) value = (value.to(kF64) + scale * change).to(value.scalar_type());
        };
        add(moved[i].weight, step[i].weight);
        add(moved[i].bias, step[i].bias);
      }
      Evaluation there = Evaluate(moved, derivatives);
      if (!(there.error < now.error)) continue;
      work_ = std::move(moved);
      now = std::move(there);
      return true;
    }
    return false;
  }

  const RefitVisit& visit_;
  const Linearise& linearise_;
  const GaussNewtonOptions& options_;
  const std::string& where_;
  Maps& maps_;
  Maps work_;
};

}  // namespace

Tensor MapChange::Apply(const Tensor& rows) const {
  const Tensor product = at::matmul(rows, weight.t());
  return bias.defined() ? product + bias : product;
}

void MapChange::Collect(const Tensor& gradient, const Tensor& inputs) {
  const Tensor flat = gradient.flatten(0, -2);
  AddTo(weight, at::matmul(flat.t(), inputs.flatten(0, -2)));
  if (bias.defined()) AddTo(bias, flat.sum(0));
}

int64_t EveryNth::FirstOf(int64_t items) {
  const int64_t first = std::min(next_, items);
  const int64_t counted = (items - first + n_ - 1) / n_;
  next_ = next_ + counted * n_ - items;
  return first;
}

StepsTaken GaussNewton(const RefitVisit& visit, const Linearise& linearise,
                       const GaussNewtonOptions& options, const std::string& where,
                       std::vector<Linear>& maps) {
  return Refit(visit, linearise, options, where, maps).Run();
}

}  // namespace condense
