#include "compression/refits/mlp_refit.h"

#include "model/activation.h"

namespace condense {
namespace {

// The maps of an MLP: up, gate where it is gated, down.
std::vector<Linear*> MapsOf(Mlp& mlp) {
  if (mlp.gated()) return {&mlp.up, &mlp.gate, &mlp.down};
  return {&mlp.up, &mlp.down};
}

class LinearisedMlp final : public LinearisedModule {
 public:
  LinearisedMlp(const std::vector<Linear>& maps, Activation activation, const Tensor& x)
      : down_(maps.back()), x_(x) {
    const Tensor up = maps[0].Forward(x);
    if (maps.size() == 2) {
      slopes_ = {ActivationSlope(up, activation)};
      hidden_ = Activate(up, activation);
      return;
    }
    const Tensor gate = maps[1].Forward(x);
    const Tensor of_gate = ActivationSlope(gate, activation).mul_(up);
    slopes_ = {Activate(gate, activation), of_gate};
    hidden_ = slopes_[0] * up;
  }

  Tensor Output() const override { return down_.Forward(hidden_); }
  const Tensor& hidden() const override { return hidden_; }

  void Pull(const Tensor& error, PullTo to, Change& sum) const override {
    if (to == PullTo::kAll) sum.back().Collect(error, hidden_);
    const Tensor back = at::matmul(error, down_.weight);
    for (size_t i = 0; i < slopes_.size(); ++i) sum[i].Collect(back * slopes_[i], x_);
  }

  void AddCurvature(const Change& change, const Tensor& weights, Change& sum) const override {
    Tensor hidden;
    for (size_t i = 0; i < slopes_.size(); ++i) {
      const Tensor part = change[i].Apply(x_).mul_(slopes_[i]);
      hidden = hidden.defined() ? hidden.add_(part) : part;
    }
    Tensor output = change.back().Apply(hidden_);  // J change
    output.addmm_(hidden, down_.weight.t());
    if (weights.defined()) output.mul_(weights);
    Pull(output, PullTo::kAll, sum);
  }

  std::vector<Tensor> Energies(const Tensor& weights) const override {
    const Tensor columns = down_.weight.square().sum(0);  // ||D_c||^2
    std::vector<Tensor> energies;
    for (const Tensor& slope : slopes_) {
      const Tensor squares = slope.square();
      energies.push_back(columns * (weights.defined() ? squares * weights : squares).sum(0));
    }
    return energies;
  }

  int64_t bytes() const override {
    int64_t bytes = static_cast<int64_t>(x_.nbytes() + hidden_.nbytes());
    for (const Tensor& slope : slopes_) bytes += static_cast<int64_t>(slope.nbytes());
    return bytes;
  }

 private:
  Linear down_;
  Tensor x_, hidden_;
  std::vector<Tensor> slopes_;  // d hidden / d output of up and of gate: [n, m]
};

}  // namespace

StepsTaken RefitMlp(const RefitVisit& visit, const GaussNewtonOptions& options,
                    const std::string& where, Mlp& mlp) {
  std::vector<Linear> maps;
  for (const Linear* map : MapsOf(mlp)) maps.push_back(*map);
  const ModuleForm form{.forward =
                            [&](const std::vector<Linear>& at, const Tensor& x) {
                              Mlp moved{.activation = mlp.activation};
                              moved.up = at.front(), moved.down = at.back();
                              if (mlp.gated()) moved.gate = at[1];
                              return moved.Forward(x, nullptr);
                            },
                        .linearise =
                            [&](const std::vector<Linear>& at, const Tensor& x) {
                              return std::make_unique<const LinearisedMlp>(at, mlp.activation, x);
                            }};
  const StepsTaken taken = GaussNewton(visit, form, options, where + ": MLP", maps);
  const std::vector<Linear*> to = MapsOf(mlp);
  for (size_t i = 0; i < to.size(); ++i) *to[i] = maps[i];
  return taken;
}

}  // namespace condense
