#include "compression/parts/mlp_refit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "model/activation.h"
#include "tensor/linalg.h"

namespace condense {
namespace {

constexpr int64_t kTileRows = 2048;     // that are worked on at a time
constexpr double kRidge = 1e-3;         // of a step, in the metric K
constexpr double kInputDamping = 1e-2;  // of the Gram matrix of the inputs, times its mean diagonal
constexpr double kEnergyFloor = 1e-3;   // of the energy of an output, times the mean
constexpr int kHalvings = 6;

// One value for each map of an MLP.
enum : size_t { kUp, kGate, kDown, kMaps };

std::array<Linear*, kMaps> MapsOf(Mlp& mlp) {
  return {&mlp.up, mlp.gated() ? &mlp.gate : nullptr, &mlp.down};
}

// A change of all parameters, or a gradient: float64, undefined where there is no parameter.
struct MapChange {
  Tensor weight, bias;
};
using Change = std::array<MapChange, kMaps>;

// Calls fn(a's tensor, b's tensor) for every parameter.
template <class Fn>
void ForEachPair(Change& a, const Change& b, Fn&& fn) {
  for (size_t i = 0; i < kMaps; ++i) {
    if (a[i].weight.defined()) fn(a[i].weight, b[i].weight);
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

void AddTo(Tensor& sum, const Tensor& part) {
  sum = sum.defined() ? sum.add_(part.to(kF64)) : part.to(kF64);
}

// Sum of the weights [n, 1] of rows, which are all one where they are undefined.
double WeightOf(const Tensor& rows, const Tensor& weights) {
  return weights.defined() ? weights.sum(kF64).item<double>() : static_cast<double>(rows.size(0));
}
Tensor Weighted(const Tensor& rows, const Tensor& weights) {
  return weights.defined() ? rows * weights : rows;
}

// y(x; theta) to first order in theta, on some rows.
class Linearised {
 public:
  Linearised(const Mlp& mlp, const Tensor& x) : mlp_(mlp), x_(x) {
    const Tensor up = mlp.up.Forward(x);
    if (!mlp.gated()) {
      slope_[kUp] = ActivationSlope(up, mlp.activation);
      hidden_ = Activate(up, mlp.activation);
      return;
    }
    const Tensor gate = mlp.gate.Forward(x);
    slope_[kGate] = ActivationSlope(gate, mlp.activation).mul_(up);
    slope_[kUp] = Activate(gate, mlp.activation);
    hidden_ = slope_[kUp] * up;
  }

  Tensor Output() const { return mlp_.down.Forward(hidden_); }
  const Tensor& x() const { return x_; }
  // d hidden / d output of up or gate: [n, m].
  const Tensor& slope(size_t map) const { return slope_[map]; }

  // J change: [n, out]. In the dtype of the rows.
  Tensor Push(const Change& change) const {
    Tensor hidden;
    for (const size_t map : {kUp, kGate}) {
      if (!slope_[map].defined()) continue;
      const Tensor part = Apply(change[map], x_).mul_(slope_[map]);
      hidden = hidden.defined() ? hidden.add_(part) : part;
    }
    return Apply(change[kDown], hidden_).add_(at::matmul(hidden, mlp_.down.weight.t()));
  }

  // sum += J^T error; error: [n, out].
  void Pull(const Tensor& error, Change& sum) const {
    Collect(error, hidden_, sum[kDown]);
    const Tensor back = at::matmul(error, mlp_.down.weight);
    for (const size_t map : {kUp, kGate}) {
      if (slope_[map].defined()) Collect(back * slope_[map], x_, sum[map]);
    }
  }

 private:
  static Tensor Apply(const MapChange& change, const Tensor& rows) {
    const Tensor product = at::matmul(rows, change.weight.t());
    return change.bias.defined() ? product + change.bias : product;
  }
  static void Collect(const Tensor& gradient, const Tensor& inputs, MapChange& sum) {
    AddTo(sum.weight, at::matmul(gradient.t(), inputs));
    if (sum.bias.defined()) AddTo(sum.bias, gradient.sum(0));
  }

  const Mlp& mlp_;
  Tensor x_, hidden_;
  std::array<Tensor, kMaps> slope_;
};

// The blocks of J^T J as Kronecker products: outputs (diagonal) beside inputs.
class Metric {
 public:
  struct Block {
    Tensor outputs;   // [out]; undefined: ones
    Tensor inputs;    // [in, in]
    Factor factor;    // of inputs
    double rows = 0;  // weight of the rows: curvature of a bias, beside `outputs`
  };
  std::array<Block, kMaps> blocks;

  Change Times(const Change& change) const {
    Change out;
    for (size_t i = 0; i < kMaps; ++i) {
      if (!change[i].weight.defined()) continue;
      const Block& block = blocks[i];
      out[i].weight = at::matmul(change[i].weight, block.inputs);
      if (block.outputs.defined()) out[i].weight.mul_(block.outputs.unsqueeze(1));
      if (change[i].bias.defined()) out[i].bias = change[i].bias * BiasScale(block);
    }
    return out;
  }
  Change Solve(const Change& change) const {
    Change out;
    for (size_t i = 0; i < kMaps; ++i) {
      if (!change[i].weight.defined()) continue;
      const Block& block = blocks[i];
      out[i].weight = CholeskySolve(block.factor, change[i].weight.t()).t();
      if (block.outputs.defined()) out[i].weight = out[i].weight / block.outputs.unsqueeze(1);
      if (change[i].bias.defined()) out[i].bias = change[i].bias / BiasScale(block);
    }
    return out;
  }

 private:
  // The energies of the outputs are means over rows, their inputs sums.
  static Tensor BiasScale(const Block& block) {
    return block.outputs.defined() ? block.outputs * block.rows
                                   : at::full({}, block.rows, block.inputs.options());
  }
};

class MlpRefit {
 public:
  MlpRefit(const MlpVisit& visit, const Tensor& hidden_gram, const MlpRefitOptions& options,
           const std::string& where, Mlp& mlp)
      : visit_(visit), options_(options), where_(where), mlp_(mlp), work_(Wide(mlp)) {
    metric_.blocks[kDown].inputs = hidden_gram;
    metric_.blocks[kDown].factor =
        CholeskyEscalated(hidden_gram, where_ + ": Gram matrix of the MLP");
  }

  MlpRefitResult Run() {
    MlpRefitResult result;
    Evaluation now = Evaluate(work_, options_.steps > 0);
    result.squared_error_before = result.squared_error = now.error;
    while (result.steps < options_.steps) {
      const bool last = result.steps + 1 == options_.steps;
      if (!Advance(now, StepFrom(now), /*derivatives=*/!last)) break;
      ++result.steps;
      result.squared_error = now.error;
    }
    if (result.steps > 0) Store();
    return result;
  }

 private:
  // The loss at some parameters, and what a step from there wants.
  struct Evaluation {
    double error = 0;
    Change gradient;                   // J^T r
    std::array<Tensor, kMaps> energy;  // mean over rows of slope^2 [m]
  };

  // In float32 at least.
  static Mlp Wide(const Mlp& mlp) {
    Mlp wide = mlp;
    for (Linear* map : MapsOf(wide)) {
      if (map == nullptr) continue;
      const DType dtype = at::promote_types(map->weight.scalar_type(), kF32);
      map->weight = map->weight.to(dtype);
      if (map->bias.defined()) map->bias = map->bias.to(dtype);
    }
    return wide;
  }
  void Store() {
    const auto from = MapsOf(work_), to = MapsOf(mlp_);
    for (size_t i = 0; i < kMaps; ++i) {
      if (to[i] == nullptr) continue;
      to[i]->weight = from[i]->weight.to(to[i]->weight.scalar_type()).contiguous();
      if (to[i]->bias.defined()) to[i]->bias = from[i]->bias.to(to[i]->bias.scalar_type());
    }
  }

  Change Zero() {
    Change zero;
    const auto maps = MapsOf(work_);
    for (size_t i = 0; i < kMaps; ++i) {
      if (maps[i] == nullptr) continue;
      const auto zeros = [](const Tensor& like) { return at::zeros_like(like, kF64); };
      zero[i].weight = zeros(maps[i]->weight);
      if (maps[i]->bias.defined()) zero[i].bias = zeros(maps[i]->bias);
    }
    return zero;
  }

  // Calls fn(linearised MLP, targets, weights as a column or undefined), tile by tile, for every
  // stride-th row.
  template <class Fn>
  void VisitTiles(const Mlp& mlp, int64_t stride, Fn&& fn) const {
    const DType dtype = mlp.down.weight.scalar_type();
    visit_(stride, [&](const MlpRows& rows) {
      for (int64_t begin = 0; begin < rows.inputs.size(0); begin += kTileRows) {
        const int64_t count = std::min(kTileRows, rows.inputs.size(0) - begin);
        const auto tile = [&](const Tensor& all) { return all.narrow(0, begin, count).to(dtype); };
        fn(Linearised(mlp, tile(rows.inputs)), tile(rows.targets),
           rows.weights.defined() ? tile(rows.weights).unsqueeze(1) : Tensor());
      }
    });
  }

  Evaluation Evaluate(const Mlp& mlp, bool derivatives) {
    Evaluation at;
    if (derivatives) at.gradient = Zero();
    Tensor input_gram;
    double rows = 0;
    VisitTiles(mlp, 1, [&](const Linearised& linear, const Tensor& targets, const Tensor& weights) {
      const Tensor residual = targets - linear.Output();
      const Tensor weighted = Weighted(residual, weights);
      at.error += (residual * weighted).sum(kF64).item<double>();
      if (!derivatives) return;
      linear.Pull(weighted, at.gradient);
      rows += WeightOf(targets, weights);
      if (!known_inputs_) {
        const Tensor x = weights.defined() ? linear.x() * weights.sqrt() : linear.x();
        AddTo(input_gram, at::matmul(x.t(), x));
      }
      for (const size_t map : {kUp, kGate}) {
        const Tensor& slope = linear.slope(map);
        if (slope.defined()) AddTo(at.energy[map], Weighted(slope.square(), weights).sum(0));
      }
    });
    if (!derivatives) return at;
    for (Tensor& sum : at.energy) {
      if (sum.defined()) sum = sum / rows;
    }
    if (!known_inputs_) KnowInputs(input_gram, rows);
    return at;
  }

  // The inputs of up and gate never change.
  void KnowInputs(const Tensor& gram, double rows) {
    known_inputs_ = true;
    const double damping = kInputDamping * gram.diagonal().mean().item<double>();
    const Tensor damped = gram + damping * at::eye(gram.size(0), gram.options());
    const Factor factor = CholeskyEscalated(damped, where_ + ": Gram matrix of the MLP's inputs");
    for (const size_t map : {kUp, kGate}) {
      metric_.blocks[map].inputs = damped;
      metric_.blocks[map].factor = factor;
    }
    for (Metric::Block& block : metric_.blocks) block.rows = rows;
    rows_ = rows;
  }

  // (J^T J + ridge K) change, J^T J from a part of the rows.
  Change Product(const Change& change) {
    Change narrow = change;
    const DType dtype = work_.down.weight.scalar_type();
    ForEachPair(narrow, change, [&](Tensor& to, const Tensor& from) { to = from.to(dtype); });
    Change product = Zero();
    double seen = 0;
    VisitTiles(work_, options_.stride,
               [&](const Linearised& linear, const Tensor& targets, const Tensor& weights) {
                 linear.Pull(Weighted(linear.Push(narrow), weights), product);
                 seen += WeightOf(targets, weights);
               });
    Combine(product, seen > 0 ? rows_ / seen : 0, kRidge, metric_.Times(change));
    return product;
  }

  // argmin_m ||r - J m||^2 + ridge m^T K m, as far as the iterations go.
  Change StepFrom(const Evaluation& at) {
    const Tensor columns = work_.down.weight.to(kF64).square().sum(0);  // ||D_c||^2
    for (const size_t map : {kUp, kGate}) {
      if (!at.energy[map].defined()) continue;
      const Tensor energy = columns * at.energy[map];
      const double mean = energy.mean().item<double>();
      // Channels that do nothing are not to be divided by.
      metric_.blocks[map].outputs = energy + (mean > 0 ? kEnergyFloor * mean : 1);
    }
    Change step = Zero(), residual = at.gradient, direction = metric_.Solve(residual);
    double size = Dot(residual, direction);
    for (int64_t k = 0; k < options_.iterations && size > 0; ++k) {
      const Change product = Product(direction);
      const double curvature = Dot(direction, product);
      if (!(curvature > 0)) break;
      Combine(step, 1, size / curvature, direction);
      if (k + 1 == options_.iterations) break;
      Combine(residual, 1, -size / curvature, product);
      const Change preconditioned = metric_.Solve(residual);
      const double next = Dot(residual, preconditioned);
      Combine(direction, next / size, 1, preconditioned);
      size = next;
    }
    ForEachPair(step, step, [&](const Tensor& value, const Tensor&) {
      RequireFinite(value, where_ + ": step of the MLP's refit");
    });
    return step;
  }

  // Takes the step, or a half of it and so on: false when none lowers the loss.
  bool Advance(Evaluation& now, const Change& step, bool derivatives) {
    double scale = 1;
    for (int tries = 0; tries <= kHalvings; ++tries, scale /= 2) {
      Mlp moved = work_;
      const auto maps = MapsOf(moved);
      for (size_t i = 0; i < kMaps; ++i) {
        if (maps[i] == nullptr) continue;
        const auto add = [&](Tensor& value, const Tensor& change) {
          if (value.defined()) value = (value.to(kF64) + scale * change).to(value.scalar_type());
        };
        add(maps[i]->weight, step[i].weight);
        add(maps[i]->bias, step[i].bias);
      }
      Evaluation there = Evaluate(moved, derivatives);
      if (!(there.error < now.error)) continue;
      work_ = std::move(moved);
      now = std::move(there);
      return true;
    }
    return false;
  }

  const MlpVisit& visit_;
  const MlpRefitOptions& options_;
  const std::string& where_;
  Mlp& mlp_;
  Mlp work_;
  Metric metric_;
  bool known_inputs_ = false;
  double rows_ = 0;  // their weight
};

}  // namespace

MlpRefitResult RefitMlp(const MlpVisit& visit, const Tensor& hidden_gram,
                        const MlpRefitOptions& options, const std::string& where, Mlp& mlp) {
  return MlpRefit(visit, hidden_gram, options, where, mlp).Run();
}

}  // namespace condense
