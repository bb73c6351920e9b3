// The project's own method. Blocks are compressed bottom to top on the activations of what is
// compressed already, and each matrix that writes to the residual stream is refitted so that the
// stream returns to the dense one: every module repairs what those before it broke.
//
// The heads of a layer share what the layer keeps (`head_budget: pooled`): each column goes to the
// head that would lose most without it.
//
// In a block, in this order: queries and keys; values and output on the mix that compressed queries
// and keys give; the MLP on compressed attention. When attention is done, and again when the MLP
// is, all of its matrices move towards the target together (`attention_steps`, `mlp_steps`). The
// modules are in condense_query_key.cc, condense_value_output.cc and condense_mlp.cc, the refits in
// refits/residual_target.h and refits/gauss_newton.h. With `inputs: dense` all of it is fitted to
// statistics of the dense model instead, in one pass and without those steps, which is also how
// modules are tried one by one for allocators that measure.
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "compression/bases/method_key.h"
#include "compression/bases/module_pairs.h"
#include "compression/methods/condense/condense_modules.h"
#include "compression/refits/attention_refit.h"
#include "compression/refits/mlp_refit.h"
#include "config/registry.h"

namespace condense {

namespace {

// The matrix of a module that writes to the stream.
const Linear& Writer(Module module, const Block& block) {
  return module == Module::kMlp ? block.mlp.down : block.attention.o;
}

Tensor Wide(const Tensor& tensor) { return tensor.defined() ? tensor.to(kF64) : tensor; }

// Whether the fit of a consumer has an intercept: where it ends up with a bias. A narrowed value
// head passes its bias on.
bool HasIntercept(Module module, const Block& block, bool narrows) {
  if (module == Module::kMlp) return block.mlp.down.bias.defined();
  return block.attention.o.bias.defined() || (narrows && block.attention.v.bias.defined());
}

ModuleReport Untouched(Module module, const Block& block, int64_t width) {
  const size_t heads = module == Module::kMlp ? 1 : block.attention.heads.size();
  return {.widths = std::vector<int64_t>(heads, width / static_cast<int64_t>(heads))};
}

// In which a block is refitted as a whole.
DType WideType(const Block& block) {
  return at::promote_types(block.mlp.down.weight.scalar_type(), kF32);
}

// Of a module that is refitted as a whole: what its output has to meet, by what may move.
double EquationsPerUnknown(Module module, const Block& block, int64_t tokens) {
  const auto size = [](const Linear& map) {
    return map.weight.defined() ? static_cast<double>(map.weight.numel()) : 0.0;
  };
  const Attention& attention = block.attention;
  const double unknowns =
      module == Module::kMlp
          ? size(block.mlp.up) + size(block.mlp.gate) + size(block.mlp.down)
          : size(attention.q) + size(attention.k) + size(attention.v) + size(attention.o);
  return static_cast<double>(tokens * Writer(module, block).out()) / unknowns;
}

// What is carried from block to block.
struct Carried {
  StreamPair streams;                 // in front of the next block
  GramMath math;                      // of sums over them
  int64_t tokens = 0, sequences = 0;  // in them
  bool changed = false;               // whether they, or the block so far, differ
};

// One block, fitted to the streams.
class FollowedBlock {
 public:
  FollowedBlock(const CondenseContext& context, const CondenseOptions& options, Carried& carried,
                BlockTask& task)
      : context_(context),
        options_(options),
        carried_(carried),
        streams_(carried.streams),
        math_(carried.math),
        changed_(carried.changed),
        task_(task) {}

  // Both streams are taken to the middle of the block as soon as its attention is done, and from
  // there to its end: no half of a block runs more often than the fits need it.
  void Compress() {
    if (options_.Drift() > 0 && changed_) FollowInputs(Module::kQk);
    CompressModule(Module::kQk);
    CompressModule(Module::kVo);
    Carry(Module::kVo);
    if (context_.options.modules.mlp && options_.Drift() > 0 && changed_)
      FollowInputs(Module::kMlp);
    CompressModule(Module::kMlp);
    Carry(Module::kMlp);
  }

 private:
  void CompressModule(Module module) {
    if (!context_.options.modules.of(module)) return;
    ReportModule(task_, module, [&] { return Narrowed(module); });
  }

  ModuleReport Narrowed(Module module) {
    const int64_t width = ModuleWidth(task_.plan, module);
    const bool narrows = width < DenseWidth(context_.model, module);
    changed_ = changed_ || narrows;
    if (module != Module::kMlp) narrows_attention_ = narrows_attention_ || narrows;
    // While nothing differs there is nothing to make up for, and the module stays bit for bit.
    if (!changed_ || (module == Module::kQk && !narrows)) {
      return Untouched(module, task_.block, width);
    }
    if (module == Module::kQk) {
      return MakeQueryKeyNarrower(context_, *task_.stats, task_.block)->Narrow(width, task_.block);
    }
    const std::optional<Block> before =
        options_.target == Target::kOwn ? std::optional(task_.block) : std::nullopt;
    ClosedForm closed = NarrowedInClosedForm(module, width, narrows);
    MoveWhole(module, before ? &*before : nullptr, closed);
    return std::move(closed.report);
  }

  struct ClosedForm {
    ModuleReport report;
    RowGram hidden;  // of what the writer reads, if it is needed and known
  };
  // What this takes is free again before the steps begin.
  ClosedForm NarrowedInClosedForm(Module module, int64_t width, bool narrows) {
    BlockStatistics values;
    const TargetFit fit = FitOf(module, narrows, values);
    const Block before = task_.block;
    const ModuleNarrowerPointer narrower =
        module == Module::kVo ? MakeValueOutputNarrower(context_, fit, values, before)
                              : MakeMlpNarrower(context_, fit, before, width);
    ClosedForm closed{.report = narrower->Narrow(width, task_.block)};
    if (module == Module::kMlp && StepsOf(module).steps > 0) {
      closed.hidden = fit.InputGram(IndexTensor(closed.report.kept), WideType(task_.block));
    }
    return closed;
  }

  // Gauss-Newton steps of all matrices of this half of the block.
  StepCount StepsOf(Module module) const {
    const bool mlp = module == Module::kMlp;
    // Queries and keys that are not to be compressed stay as they are.
    const bool wanted = mlp ? task_.plan.mlp_width < context_.model.intermediate_size
                            : narrows_attention_ && context_.options.modules.qk;
    if (!wanted) return {};
    return options_.StepsFor(module, EquationsPerUnknown(module, task_.block, carried_.tokens),
                             carried_.sequences);
  }

  // before: the block before this module was narrowed, for its own target.
  void MoveWhole(Module module, const Block* before, ClosedForm& closed) {
    const StepCount count = StepsOf(module);
    if (count.steps == 0) return;
    const bool mlp = module == Module::kMlp;
    GaussNewtonOptions steps{.steps = count.steps,
                             .iterations = count.iterations,
                             .worthwhile = count.worthwhile,
                             .writer_fitted = mlp || context_.options.joint_output,
                             .hidden = std::move(closed.hidden)};
    if (options_.token_weight == TokenWeight::kNone) steps.inputs = std::move(inputs_read_);
    inputs_read_ = {};
    Block& block = task_.block;
    const RefitVisit visit = [&](RowSet set, const std::function<void(const RefitRows&)>& fn) {
      VisitRows(module, set, before, fn);
    };
    const StepsTaken taken = mlp ? RefitMlp(visit, steps, Where(), block.mlp)
                                 : RefitAttention(visit, steps, Where(), block.attention);
    if (closed.report.relative_error && taken.squared_error_before > 0) {
      *closed.report.relative_error *= std::sqrt(taken.squared_error / taken.squared_error_before);
    }
  }

  // The rows of a set, for the steps: tokens of an MLP stand alone, attention wants sequences.
  void VisitRows(Module module, RowSet set, const Block* before,
                 const std::function<void(const RefitRows&)>& fn) const {
    const bool mlp = module == Module::kMlp;
    const Block& block = task_.block;
    RowSplit split(carried_.sequences, mlp ? RowSplit::Items::kTokens : RowSplit::Items::kSequences,
                   mlp ? options_.mlp_stride : options_.attention_stride);
    size_t index = 0;
    streams_.Visit([&](const Tensor& dense, const Tensor& input) {
      const Tensor& dense_after = dense_after_[index++];
      const Indices items = split.Next(set, dense.size(0), dense.size(1));
      if (items.empty()) return;
      const Tensor chosen = IndexTensor(items);
      const auto part = [&](const Tensor& stream) {
        return (mlp ? stream.flatten(0, -2) : stream).index_select(0, chosen.to(stream.device()));
      };
      const Tensor start = part(dense), present = part(input);
      const Tensor normed = (mlp ? block.norm2 : block.norm1).Forward(present);
      RefitRows rows{.inputs = normed};
      if (before == nullptr) {
        rows.targets = TargetOf(start, part(dense_after).to(start.device()), present, kF32);
      } else {
        rows.targets =
            mlp ? before->mlp.Forward(normed, nullptr) : before->attention.Forward(normed);
      }
      const Tensor weights = TokenWeights(options_.token_weight, start);
      if (weights.defined()) rows.weights = weights.view(start.sizes().slice(0, start.dim() - 1));
      fn(rows);
    });
  }

  // The half of a block that ends with this module's output.
  Tensor Half(Module module, const Block& block, const Tensor& x) const {
    return module == Module::kMlp ? block.ForwardMlp(x) : block.ForwardAttention(x);
  }

  // Takes both streams over half a block.
  void Carry(Module module) {
    size_t index = 0;
    streams_.Transform([&](const Tensor& dense, const Tensor& input) {
      const Tensor after =
          dense_after_.empty() ? Half(module, *task_.dense, dense) : std::move(dense_after_[index]);
      ++index;
      return std::pair(after, changed_ ? Half(module, task_.block, input) : after);
    });
    dense_after_.clear();
  }

  // The fit of the matrix that writes to the stream, and statistics of its values beside it.
  TargetFit FitOf(Module module, bool narrows, BlockStatistics& values) {
    const Block& block = task_.block;
    TargetSums sums(math_);
    const StatRequests requests =
        module == Module::kVo ? CondenseValueRequests(context_.options) : StatRequests();
    StatisticsCollector collector(requests, ShapeOf(block), math_);
    streams_.Visit([&](const Tensor& dense, const Tensor& input) {
      // Kept on the host until the streams are taken there.
      const Tensor dense_after = Half(module, *task_.dense, dense);
      dense_after_.push_back(dense_after.cpu());
      if (module == Module::kVo) {
        const Tensor normed = block.norm1.Forward(input);
        const Tensor v = block.attention.v.Forward(normed);
        if (!requests.empty()) collector.OnTap(Tap::kValue, v);
        const Tensor mix = block.attention.Mix(block.attention.q.Forward(normed),
                                               block.attention.k.Forward(normed), v);
        AddTargets(mix, dense, dense_after, input, sums);
      } else {
        AddTargets(block.mlp.Hidden(block.norm2.Forward(input)), dense, dense_after, input, sums);
      }
    });
    if (!requests.empty()) values = collector.Finish(Where());
    const TargetFit fit = sums.Finish(HasIntercept(module, block, narrows), Where());
    if (options_.target == Target::kResidual) return fit;
    const Linear& writer = Writer(module, block);
    return fit.WithOwnTargets(writer.weight.t().to(kF64), Wide(writer.bias));
  }

  // T = what the dense module adds + alpha x what the stream lacks before it, in `least` or wider.
  Tensor TargetOf(const Tensor& dense_before, const Tensor& dense_after, const Tensor& before,
                  DType least) const {
    const DType dtype = at::promote_types(dense_before.scalar_type(), least);
    const Tensor start = dense_before.to(dtype);
    return dense_after.to(dtype) - start + options_.alpha * (start - before.to(dtype));
  }
  void AddTargets(const Tensor& inputs, const Tensor& dense_before, const Tensor& dense_after,
                  const Tensor& before, TargetSums& sums) const {
    sums.Add(inputs, TargetOf(dense_before, dense_after, before, kF64),
             TokenWeights(options_.token_weight, dense_before));
  }

  // Moves the matrices that read the stream along with it: those of attention, or of the MLP.
  void FollowInputs(Module module) {
    Block& block = task_.block;
    TargetSums sums(math_);
    const Norm& norm = module == Module::kMlp ? block.norm2 : block.norm1;
    streams_.Visit([&](const Tensor& dense, const Tensor& input) {
      sums.Add(norm.Forward(input), norm.Forward(dense), {});
    });
    const std::vector<Linear*> readers =
        module == Module::kMlp
            ? std::vector<Linear*>{&block.mlp.gate, &block.mlp.up}
            : std::vector<Linear*>{&block.attention.q, &block.attention.k, &block.attention.v};
    const TargetFit fit = FollowDrift(sums, options_.Drift(), Where(), readers);
    inputs_read_ = fit.InputGram({}, WideType(block));
  }

  std::string Where() const { return fmt::format("layer {}", context_.layer); }

  const CondenseContext& context_;
  const CondenseOptions& options_;
  const Carried& carried_;
  StreamPair& streams_;
  GramMath math_;
  bool& changed_;
  BlockTask& task_;
  bool narrows_attention_ = false;
  std::vector<Tensor> dense_after_;  // the dense stream at the end of the present half, if made
  RowGram inputs_read_;              // of what the present half reads, once it followed the drift
};

// Statistics of the dense model for the fit of a matrix that writes to the stream.
StatRequests DenseFitRequests(Module module) {
  if (module == Module::kQk) return {};
  const Tap tap = module == Module::kMlp ? Tap::kMlpHidden : Tap::kValueMix;
  return {Gram(tap), Mean(tap)};
}

// A module fitted to statistics of the dense model.
class DenseModule {
 public:
  // least: the smallest width that will be asked for.
  DenseModule(const CondenseContext& context, const BlockStatistics& statistics, Module module,
              const Block& block, int64_t least)
      : module_(module), full_(DenseWidth(context.model, module)) {
    if (least == full_) return;
    if (module == Module::kQk) {
      narrower_ = MakeQueryKeyNarrower(context, statistics, block);
      return;
    }
    const Linear& writer = Writer(module, block);
    const Tap tap = module == Module::kMlp ? Tap::kMlpHidden : Tap::kValueMix;
    const Device device = writer.weight.device();
    Tensor mean;
    if (HasIntercept(module, block, /*narrows=*/true)) {
      mean = statistics.Get(Mean(tap)).to(device);
    }
    fit_ = DenseFit(statistics.Get(Gram(tap)).to(device), mean, statistics.tokens,
                    writer.weight.t().to(kF64), Wide(writer.bias));
    narrower_ = module == Module::kMlp ? MakeMlpNarrower(context, fit_, block, least)
                                       : MakeValueOutputNarrower(context, fit_, statistics, block);
  }
  DenseModule(const DenseModule&) = delete;
  DenseModule& operator=(const DenseModule&) = delete;

  // At full width the module stays as it is.
  ModuleReport Narrow(int64_t width, Block& block) const {
    if (width == full_) return Untouched(module_, block, width);
    return narrower_->Narrow(width, block);
  }

 private:
  Module module_;
  int64_t full_;
  TargetFit fit_;
  ModuleNarrowerPointer narrower_;
};

// All that does not matter to a module which is compressed alone is at its default.
CondenseOptions OptionsOfTrials(const TrialOptions& trials) {
  CondenseOptions options;
  options.trials = trials;
  return options;
}

class Condense final : public ModulePairMethod {
 public:
  using Params = CondenseOptions;
  explicit Condense(const Params& params)
      : ModulePairMethod(params.trials.modules,
                         MethodKey("condense", OptionsOfTrials(params.trials))),
        options_(params) {}

  const char* default_allocator() const override { return "kl_curves"; }

  StatRequests DenseRequests(const ModelConfig& dense) const override {
    if (!options_.follows()) return TrialRequests(dense);
    if (!compresses(Module::kQk)) return {};
    return CondenseQueryKeyRequests(options_.trials, dense);
  }

  void Compress(CompressionJob& job) const override {
    const ModelConfig& model = job.dense().config();
    if (!options_.follows()) {
      job.ForEachBlock({.requests = DenseRequests(model)},
                       [&](BlockTask& task) { CompressFromStatistics(model, task); });
      return;
    }
    const TokenBatches& tokens = job.statistics().tokens();
    Carried carried{.streams = job.MakeStreams(),
                    .math = job.statistics().gram_math(),
                    .tokens = tokens.tokens(),
                    .sequences = tokens.sequences()};
    BlockLoop loop{.requests = DenseRequests(model)};
    if (options_.head_refit) {
      loop.change_head = [&](Head& head) {
        TargetSums sums(carried.math);
        carried.streams.Visit([&](const Tensor& dense, const Tensor& input) {
          sums.Add(head.norm.Forward(input), head.norm.Forward(dense), {});
        });
        FollowDrift(sums, 1, "head", {&head.linear});
      };
    }
    job.ForEachBlock(loop, [&](BlockTask& task) {
      const CondenseContext context{
          .options = options_.trials, .model = model, .layer = task.layer};
      FollowedBlock(context, options_, carried, task).Compress();
    });
  }

  bool SharesStatistics() const override { return !options_.follows(); }

  // On dense statistics, as with `inputs: dense`.
  void CompressAlone(const TrialInput& input, const ModuleGroup& group,
                     const std::vector<double>& removed,
                     const std::function<void(const TrialBlock& made)>& use) const override {
    const Module module = group.modules.front();
    std::vector<int64_t> widths;
    for (const double fraction : removed) {
      widths.push_back(WidthLeft(input.model, module, fraction));
    }
    const CondenseContext context{
        .options = options_.trials, .model = input.model, .layer = input.layer};
    const DenseModule dense(context, input.statistics, module, input.dense, widths.back());
    for (const int64_t width : widths) {
      TrialBlock made{.block = input.dense, .kept_channels = {}};
      ModuleReport report = dense.Narrow(width, made.block);
      if (module == Module::kMlp) made.kept_channels = std::move(report.kept);
      use(made);
    }
  }

 protected:
  void RequireSuitable(const ModelConfig& dense) const override {
    if (!options_.head_refit || !dense.tied_head) return;
    throw ConfigError(
        "head_refit would give this model a head of its own, which shares the embedding's matrix: "
        "parameters would be added that no ratio counts; leave it out");
  }
  Rounding RoundingFor(const ModelConfig&) const override {
    return {.mode = options_.rounding, .pooled_heads = options_.trials.pools()};
  }
  StatRequests RequestsOf(Module module, const ModelConfig& model) const override {
    StatRequests requests = DenseFitRequests(module);
    if (module == Module::kQk) requests.merge(CondenseQueryKeyRequests(options_.trials, model));
    if (module == Module::kVo) requests.merge(CondenseValueRequests(options_.trials));
    return requests;
  }

 private:
  void CompressFromStatistics(const ModelConfig& model, BlockTask& task) const {
    const CondenseContext context{.options = options_.trials, .model = model, .layer = task.layer};
    for (const Module module : {Module::kQk, Module::kVo, Module::kMlp}) {
      if (!compresses(module)) continue;
      ReportModule(task, module, [&] {
        const int64_t width = ModuleWidth(task.plan, module);
        return DenseModule(context, *task.stats, module, *task.dense, width)
            .Narrow(width, task.block);
      });
    }
  }

  CondenseOptions options_;
};

CONDENSE_REGISTER(Compressor, Condense, "condense", 8,
                  "fits each module to the dense residual stream, block by block");

}  // namespace
}  // namespace condense
