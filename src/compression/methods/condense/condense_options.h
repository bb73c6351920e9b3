// The options of `condense`. Each of its ideas is a switch, so that it can be disabled alone.
#pragma once

#include <optional>

#include "compression/allocation.h"
#include "compression/bases/head_budget.h"
#include "compression/bases/option_names.h"
#include "compression/refits/residual_target.h"

namespace condense {

enum class Inputs { kCompressed, kDense };
template <>
struct EnumNames<Inputs> {
  static constexpr std::array names{std::pair{Inputs::kCompressed, "compressed"},
                                    std::pair{Inputs::kDense, "dense"}};
};
enum class Target { kResidual, kOwn };
template <>
struct EnumNames<Target> {
  static constexpr std::array names{std::pair{Target::kResidual, "residual"},
                                    std::pair{Target::kOwn, "own"}};
};
enum class QkMetric { kSoftmax, kScores };
template <>
struct EnumNames<QkMetric> {
  static constexpr std::array names{std::pair{QkMetric::kSoftmax, "softmax"},
                                    std::pair{QkMetric::kScores, "scores"}};
};
enum class ValueBasis { kRegression, kAttended, kValues };
template <>
struct EnumNames<ValueBasis> {
  static constexpr std::array names{std::pair{ValueBasis::kRegression, "regression"},
                                    std::pair{ValueBasis::kAttended, "attended"},
                                    std::pair{ValueBasis::kValues, "values"}};
};
enum class MlpSelection { kElimination, kLeverage };
template <>
struct EnumNames<MlpSelection> {
  static constexpr std::array names{std::pair{MlpSelection::kElimination, "elimination"},
                                    std::pair{MlpSelection::kLeverage, "leverage"}};
};

// How a module is narrowed, given what it is fitted to. A module that is compressed alone, in the
// dense model, depends on nothing else: measured curves are stored under exactly these options.
struct TrialOptions {
  ModuleSwitches modules;
  double lambda = 1e-4;
  QkMetric query_key = QkMetric::kSoftmax;
  int64_t query_stride = 8;
  int64_t query_sequences = 16;
  bool gains = true;
  ValueBasis value = ValueBasis::kRegression;
  int64_t sweeps = 2;
  bool joint_output = true;
  HeadBudget head_budget = HeadBudget::kPooled;
  MlpSelection mlp = MlpSelection::kElimination;

  bool pools() const { return head_budget == HeadBudget::kPooled; }
};

// Gauss-Newton steps of a module, and at most how many iterations of conjugate gradients in each;
// one that lowers the loss by less than the share `worthwhile` is the last.
struct StepCount {
  int64_t steps = 0, iterations = 0;
  double worthwhile = 0;
};
inline constexpr double kWorthwhile = 0.005;

struct CondenseOptions {
  TrialOptions trials;
  Inputs inputs = Inputs::kCompressed;
  Target target = Target::kResidual;
  double alpha = 1;
  TokenWeight token_weight = TokenWeight::kNone;
  std::optional<double> drift;
  std::optional<int64_t> attention_steps, mlp_steps;
  int64_t attention_stride = 2, mlp_stride = 1;
  std::optional<int64_t> step_iterations;
  bool head_refit = false;
  RoundingMode rounding = RoundingMode::kCarry;

  template <class V>
  void Fields(V&& field) {
    field("modules", trials.modules, "which modules are compressed; the others stay as they are");
    field("inputs", inputs,
          "what the modules are fitted on: the model compressed so far, block by block, or the "
          "dense model, in one pass that all ratios share");
    field("target", target,
          "what output matrices are fitted to: the residual stream of the dense model, or what the "
          "dense matrix makes of the present input");
    field("alpha", alpha,
          "share of the error of the residual stream so far that each output matrix makes up for",
          Range{0, 1});
    field("token_weight", token_weight,
          "weight of a token in the refits; inverse_norm: one over the squared norm of the stream");
    field("lambda", trials.lambda,
          "ridge of the refits towards the old weights, times the mean diagonal of the Gram matrix",
          Range::Above(0));
    field(
        "drift", drift,
        "share of the change of their inputs that matrices which read the stream make up for; 0.5 "
        "with compressed inputs unless given",
        Range{0, 1});
    field("query_key", trials.query_key,
          "what query/key columns are chosen by: the attention weights, or all scores alike");
    field("query_stride", trials.query_stride, "with softmax: every n-th query is looked at",
          Range::AtLeast(1));
    field("query_sequences", trials.query_sequences,
          "with softmax and rotary positions: so many sequences are looked at, evenly spread over "
          "the calibration set; 0: all",
          Range::AtLeast(0));
    field("gains", trials.gains,
          "rescale what is kept of the queries: a complex gain for each rotary pair; without "
          "rotary positions subspaces in place of columns");
    field("value", trials.value,
          "subspaces of values: by regression of the target on all heads, or head by head from "
          "attended values or from values as such");
    field("sweeps", trials.sweeps, "of the regression: visits of each head", Range::AtLeast(1));
    field("joint_output", trials.joint_output,
          "refit the output projection over all heads together, to the target; false: each head to "
          "what it adds by itself");
    field(
        "head_budget", trials.head_budget,
        "equal: heads of a layer have one width and are computed together; pooled: they share what "
        "the layer keeps by what each would lose");
    field("mlp", trials.mlp, "which MLP channels stay");
    field("attention_steps", attention_steps,
          "Gauss-Newton steps by which all matrices of a narrowed attention are fitted to the "
          "target; unless given 1 with compressed inputs, and 0 with fewer equations than "
          "unknowns; 0: only the output projection is",
          Range::AtLeast(0));
    field("mlp_steps", mlp_steps,
          "the same of a narrowed MLP; unless given 2 with compressed inputs, and 0 with fewer "
          "equations than unknowns; 0: only the down projection is",
          Range::AtLeast(0));
    field("attention_stride", attention_stride,
          "every n-th sequence is looked at for the curvature of attention", Range::AtLeast(1));
    field("mlp_stride", mlp_stride, "every n-th token is looked at for the curvature of an MLP",
          Range::AtLeast(1));
    field(
        "step_iterations", step_iterations,
        "of conjugate gradients in a Gauss-Newton step; unless given 2, and from 20 equations per "
        "unknown on 6 for an MLP and 3 for attention",
        Range::AtLeast(1));
    field("head_refit", head_refit,
          "refit the output head to the compressed model (not where it is tied to the embedding)");
    field("rounding", rounding, "how widths are rounded");
  }
  void Validate(const Node& at, Problems& problems) const {
    if (inputs == Inputs::kCompressed) return;
    const auto refuse = [&](bool set, const char* option) {
      if (!set) return;
      problems.Add(
          at, fmt::format("{} follows the compressed model: it needs inputs: compressed", option));
    };
    refuse(drift.value_or(0) > 0, "drift");
    refuse(attention_steps.value_or(0) > 0, "attention_steps");
    refuse(mlp_steps.value_or(0) > 0, "mlp_steps");
    refuse(head_refit, "head_refit");
    refuse(token_weight != TokenWeight::kNone, "token_weight");
  }

  bool follows() const { return inputs == Inputs::kCompressed; }
  // With fewer equations than unknowns a step fits the data and not the module, and a single
  // sequence leaves none to decide by: there are no steps then. The rest is decided by sequences
  // that are held out, how many iterations a step takes too.
  StepCount StepsFor(Module module, double equations_per_unknown, int64_t sequences) const {
    if (!follows() || sequences < 2) return {};
    const bool mlp = module == Module::kMlp;
    const int64_t steps = equations_per_unknown < 1 ? 0 : mlp ? 2 : 1;
    return {.steps = (mlp ? mlp_steps : attention_steps).value_or(steps),
            .iterations = step_iterations.value_or(mlp ? 6 : 3),
            .worthwhile = step_iterations ? 0 : kWorthwhile};
  }
  double Drift() const { return drift.value_or(follows() ? 0.5 : 0); }
};

}  // namespace condense
