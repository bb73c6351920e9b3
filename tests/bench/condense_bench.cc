// The phases of `condense` on one block of LLaMA-2-7B's shape with random weights, as fractions of
// what the machine reaches on matrix products in the same run. Few tokens: passes and statistics
// grow in proportion to them, solves do not depend on them. The pass is also what a trial of the
// allocator `kl_curves` costs in each block above the one that it changes.
//
// Operations are those of the textbook algorithm: n^3 / 3 for a factorisation, n^2 for each side of
// a pair of triangular solves, a Gram matrix by its half.
#include <memory>
#include <numeric>

#include "bench/roofline.h"
#include "calibration/score_statistics.h"
#include "compression/methods/condense/condense_modules.h"
#include "compression/refits/attention_refit.h"
#include "compression/refits/mlp_refit.h"
#include "support/tiny_model.h"

namespace condense {
namespace {

constexpr int64_t kSequences = 2, kTokens = 1024;
constexpr double kRemoved = 0.3;

double Cube(double n) { return n * n * n; }

// One block and random activations around it, made once.
struct Setting {
  static const Setting& Get() {
    static const Setting setting;
    return setting;
  }

  double rows() const { return kSequences * kTokens; }
  double width() const { return static_cast<double>(config.hidden_size); }
  double channels() const { return static_cast<double>(config.intermediate_size); }
  // Of a matrix that writes to the stream, on activations of rank `channels`.
  TargetFit FitOf(const Linear& writer) const {
    const Tensor w = writer.weight.t().to(kF64);
    const Tensor x = at::randn({2 * w.size(0), w.size(0)}, kF32);
    return DenseFit(at::matmul(x.t(), x).to(kF64), {}, x.size(0), w, {});
  }

  std::unique_ptr<CausalLm> model = MakeTinyModel({.layers = 1,
                                                   .heads = 32,
                                                   .kv_heads = 32,
                                                   .head_dim = 128,
                                                   .intermediate = 11008,
                                                   .vocab = 64});
  const ModelConfig& config = model->config();
  Block block = model->LoadBlock(0);
  TrialOptions options;
  CondenseContext context{.options = options, .model = config, .layer = 0};
};

void Pass(benchmark::State& state) {
  const InferenceScope inference;
  const Setting& setting = Setting::Get();
  const Tensor input = at::randn({kSequences, kTokens, setting.config.hidden_size}, kF32);
  const double d = setting.width();
  const double flops = 2 * setting.rows() * (4 * d * d + 3 * d * setting.channels() + d * kTokens);
  RunAgainstPeak(state, {kF32, flops, 0.75},
                 [&] { benchmark::DoNotOptimize(setting.block.Forward(input)); });
  state.SetItemsProcessed(state.iterations() * kSequences * kTokens);
}
BENCHMARK(Pass)->Name("Condense/pass")->UseRealTime()->Unit(benchmark::kMillisecond);

// Normal equations of an output matrix. Argument: its inputs.
void Sums(benchmark::State& state) {
  const InferenceScope inference;
  const Setting& setting = Setting::Get();
  const int64_t n = kSequences * kTokens, inputs = state.range(0);
  const Tensor y = at::randn({n, inputs}, kF32),
               t = at::randn({n, setting.config.hidden_size}, kF32);
  const auto m = static_cast<double>(inputs);
  TargetSums sums;
  RunAgainstPeak(state, {kF32, setting.rows() * (m * (m + 1) + 2 * m * setting.width()), 0.60},
                 [&] { sums.Add(y, t.to(kF64), {}); });
  state.SetItemsProcessed(state.iterations() * n);
}
BENCHMARK(Sums)
    ->Name("Condense/normal equations")
    ->Arg(4096)
    ->Arg(11008)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

Tensor RandomColumns(const Setting& setting) {
  return at::randn({kSequences, kTokens, setting.config.hidden_size}, kF32);
}

// Of all heads, with the method's own stride.
void Metric(benchmark::State& state) {
  const InferenceScope inference;
  const Setting& setting = Setting::Get();
  const auto& heads = setting.config.layers[0].heads;
  const int64_t stride = setting.options.query_stride;
  const Tensor q = RandomColumns(setting), k = RandomColumns(setting);
  // Products of two halves of all pairs j <= l with half of the keys, for each query.
  const double pairs = static_cast<double>(setting.config.head_dim) / 2;
  const double flops = static_cast<double>(heads.size()) * setting.rows() /
                       static_cast<double>(stride) * (kTokens / 2.0) * 2 * 4 * pairs * pairs / 2;
  RunAgainstPeak(state, {kF32, flops, 0.40}, [&] {
    const auto sums = MakeScoreAccumulator(StatKind::kPairMetric, heads, {.query_stride = stride});
    sums->Add(q, k, setting.block.attention.scale);
    benchmark::DoNotOptimize(sums->Finish());
  });
  state.SetItemsProcessed(state.iterations() * kSequences * kTokens);
}
BENCHMARK(Metric)->Name("Condense/pair metric")->UseRealTime()->Unit(benchmark::kMillisecond);

// Order of removal and gains of the pairs of all heads.
void QueryKey(benchmark::State& state) {
  const InferenceScope inference;
  const Setting& setting = Setting::Get();
  const auto sums = MakeScoreAccumulator(StatKind::kPairMetric, setting.config.layers[0].heads,
                                         {.query_stride = 64});
  sums->Add(RandomColumns(setting), RandomColumns(setting), setting.block.attention.scale);
  BlockStatistics statistics;
  statistics.Set(PairMetric(setting.options.query_stride, setting.options.query_sequences),
                 sums->Finish());
  const auto heads = static_cast<double>(setting.config.num_heads);
  const auto w = static_cast<double>(setting.config.head_dim);
  // An inverse, the removal of all pairs, the gains, and the maps applied to W_Q.
  const double kept = w * (1 - kRemoved);
  const double flops =
      heads * (Cube(w) + 2 * Cube(w) + Cube(kept) / 3 + 2 * w * kept * setting.width());
  const auto width = static_cast<int64_t>(kept / 2) * 2;
  RunAgainstPeak(state, {kF64, flops}, [&] {
    Block block = setting.block;
    benchmark::DoNotOptimize(MakeQueryKeyNarrower(setting.context, statistics, block)
                                 ->Narrow(setting.config.num_kv_heads * width, block));
  });
}
BENCHMARK(QueryKey)->Name("Condense/query and key")->UseRealTime()->Unit(benchmark::kMillisecond);

// Subspaces of all heads in two sweeps, and the output projection.
void ValueOutput(benchmark::State& state) {
  const InferenceScope inference;
  const Setting& setting = Setting::Get();
  const TargetFit fit = setting.FitOf(setting.block.attention.o);
  const auto heads = static_cast<double>(setting.config.num_heads);
  const auto w = static_cast<double>(setting.config.head_dim);
  const auto width = static_cast<int64_t>(w * (1 - kRemoved));
  const double kept = heads * static_cast<double>(width), d = setting.width();
  // The inverse and the joint solution at full width; for each group of eight heads an inverse of
  // what all heads keep; the final refit.
  const double groups = static_cast<double>(setting.options.sweeps) * heads / 8;
  const double flops = Cube(d) + 2 * Cube(d) + groups * (Cube(kept) + 2 * kept * kept * 8 * w) +
                       Cube(kept) / 3 + 2 * kept * kept * d;
  RunAgainstPeak(state, {kF64, flops}, [&] {
    Block block = setting.block;
    benchmark::DoNotOptimize(MakeValueOutputNarrower(setting.context, fit, {}, block)
                                 ->Narrow(setting.config.num_kv_heads * width, block));
  });
}
BENCHMARK(ValueOutput)
    ->Name("Condense/value and output")
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// Elimination of channels and the refit of the down projection.
void MlpOf(benchmark::State& state) {
  const InferenceScope inference;
  const Setting& setting = Setting::Get();
  const TargetFit fit = setting.FitOf(setting.block.mlp.down);
  const double m = setting.channels(), d = setting.width();
  const double kept = m * (1 - kRemoved);
  // H = C^-1, P = W W^T, updates of half of both, and the solution on what stays.
  const double updates = Cube(m) - Cube(kept);
  const double flops = Cube(m) + m * m * d + updates + Cube(kept) / 3 + 4 * kept * kept * d;
  const auto width = static_cast<int64_t>(kept);
  RunAgainstPeak(state, {kF64, flops}, [&] {
    Block block = setting.block;
    benchmark::DoNotOptimize(
        MakeMlpNarrower(setting.context, fit, block, width)->Narrow(width, block));
  });
}
BENCHMARK(MlpOf)->Name("Condense/MLP")->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);

// One step of the refit of all matrices of the narrowed MLP, with one product with the curvature of
// all rows. With so few of them the preconditioner, which does not grow with the tokens, is most of
// it.
void WholeMlp(benchmark::State& state) {
  const InferenceScope inference;
  const Setting& setting = Setting::Get();
  const auto width = static_cast<int64_t>(setting.channels() * (1 - kRemoved));
  Mlp narrow = setting.block.mlp;
  narrow.KeepChannels(at::arange(width, kI64));
  const Tensor x = at::randn({kSequences * kTokens, setting.config.hidden_size}, kF32);
  const RefitRows all{.inputs = x, .targets = setting.block.mlp.Forward(x, nullptr)};
  const RefitVisit visit = [&](RowSet set, const std::function<void(const RefitRows&)>& fn) {
    if (set == RowSet::kCurvature) fn(all);
  };
  const GaussNewtonOptions options{.steps = 1, .iterations = 1};
  const double d = setting.width(), k = static_cast<double>(width);
  // Products of all rows with a matrix: three to evaluate the MLP, before and after, four for a
  // gradient, nine for the product with the curvature; and the Gram matrices of the rows. The
  // preconditioner is a factorisation and one solve with the Gram matrices of the inputs, the ridge
  // a product with them.
  const double passes = 2 * 3 + 4 + 9;
  const double inputs = 2 * k * d * (k + 2 * d);
  // Operations in float64 count twice.
  const double flops = passes * 2 * setting.rows() * d * k + setting.rows() * (k * k + d * d) +
                       2 * (Cube(k) / 3 + 2 * inputs);
  RunAgainstPeak(state, {kF32, flops, 0.65}, [&] {
    Mlp mlp = narrow;
    benchmark::DoNotOptimize(RefitMlp(visit, options, "bench", mlp));
  });
}
BENCHMARK(WholeMlp)
    ->Name("Condense/whole MLP")
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// The same of all matrices of the narrowed attention.
void WholeAttention(benchmark::State& state) {
  const InferenceScope inference;
  const Setting& setting = Setting::Get();
  const auto width = static_cast<int64_t>(setting.config.head_dim * (1 - kRemoved));
  const auto heads = static_cast<size_t>(setting.config.num_kv_heads);
  const auto first = [&](int64_t count) {
    std::vector<int64_t> units(static_cast<size_t>(count));
    std::iota(units.begin(), units.end(), 0);
    return std::vector(heads, units);
  };
  Attention narrow = setting.block.attention;
  narrow.KeepQueryKeyUnits(first(width / 2), /*rotary=*/true);
  narrow.KeepValueChannels(first(width));
  const Tensor x = RandomColumns(setting);
  const RefitRows all{.inputs = x, .targets = setting.block.attention.Forward(x)};
  const RefitVisit visit = [&](RowSet set, const std::function<void(const RefitRows&)>& fn) {
    if (set == RowSet::kCurvature) fn(all);
  };
  const GaussNewtonOptions options{.steps = 1, .iterations = 1};
  const auto columns = [&](const Linear& map) { return static_cast<double>(map.weight.size(0)); };
  const double d = setting.width(), q = columns(narrow.q), v = columns(narrow.v);
  // Products of all rows with a matrix, and of the attention weights, of which the future is zero,
  // with heads: the evaluations before and after, a gradient, the energies of the outputs, and the
  // product with the curvature.
  const double products = 2 * setting.rows() * d * (12 * q + 15 * v),
               mixing = setting.rows() * kTokens * 11 * (q + v);
  const double inputs = 2 * d * (d * (2 * q + v) + v * v);
  // Operations in float64 count twice.
  const double flops = products + mixing + setting.rows() * (d * d + v * v) +
                       2 * ((Cube(d) + Cube(v)) / 3 + 2 * inputs);
  RunAgainstPeak(state, {kF32, flops, 0.65}, [&] {
    Attention attention = narrow;
    benchmark::DoNotOptimize(RefitAttention(visit, options, "bench", attention));
  });
}
BENCHMARK(WholeAttention)
    ->Name("Condense/whole attention")
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace condense
