// MoDeGPT: Lin et al., Modular Decomposition for LLM Compression, arXiv 2408.09632 (methods.md 1).
//
// A block is split into pairs of matrices - MLP, query/key, value/output - whose common inner width
// can shrink without a change of the residual stream. This file holds the method; the modules are
// in modegpt_mlp.cc, modegpt_query_key.cc and modegpt_value_output.cc, the mathematics in solvers/.
// `modegpt` is the published recipe, `modegpt_plus` the project's improvements of all three.
#include "base/error.h"
#include "base/system.h"
#include "compression/bases/method_key.h"
#include "compression/methods/modegpt/modegpt_modules.h"

namespace condense {

Rounding ModeGptOptions::RoundingFor(const ModelConfig& model) const {
  const bool hardware = units == Units::kHardware;
  const int64_t pair = model.HasRope() ? 2 : 1;
  const Rounding result{.mode = rounding,
                        .mlp_unit = mlp_unit.value_or(hardware ? 128 : 1),
                        .qk_unit = qk_unit.value_or(hardware ? 16 : pair),
                        .vo_unit = vo_unit.value_or(hardware ? 16 : 1)};
  if (result.qk_unit % pair != 0) {
    throw MakeError<ConfigError>(
        "qk_unit is {}, but this model keeps query/key columns in rotary pairs: it must be even",
        result.qk_unit);
  }
  return result;
}

QkGain ModeGptOptions::GainFor(const ModelConfig& model) const {
  const bool rope = model.HasRope();
  if (qk_gain == QkGain::kBest) return rope ? QkGain::kComplex : QkGain::kSvd;
  const bool fits = qk_gain == QkGain::kNone || (qk_gain == QkGain::kComplex) == rope;
  if (!fits) {
    throw MakeError<ConfigError>(
        "qk_gain '{}' does not go with a model {} rotary positions; use '{}'", EnumName(qk_gain),
        rope ? "with" : "without", rope ? "complex" : "core' or 'svd");
  }
  return qk_gain;
}

namespace {

class ModeGptMethod : public Compressor, public ModuleTrials {
 public:
  ModeGptMethod(ModeGptOptions options, std::string key)
      : options_(std::move(options)), key_(std::move(key)) {}

  bool UsesAllocator() const override { return true; }
  const ModuleTrials* trials() const override { return this; }

  Plan MakePlan(const PlanContext& context, double nominal) const override {
    const ModelConfig& dense = context.dense();
    options_.GainFor(dense);  // refuses what cannot be done before anything expensive
    Allocation allocation = context.Allocate(nominal);
    for (ModuleSparsity& layer : allocation) {
      for (const Module module : kModules) {
        if (!options_.modules.of(module)) layer.of(module) = 0;
      }
    }
    ModelConfig config = NarrowedConfig(dense, allocation, options_.RoundingFor(dense));
    for (LayerConfig& layer : config.layers) SetBiases(dense, layer);
    return {std::move(config), std::move(allocation)};
  }

  void Compress(CompressionJob& job) const override {
    const bool twice = options_.refresh == Refresh::kModule;
    BlockLoop loop;
    loop.refresh = options_.refresh;
    for (const Module module : kModules) {
      if (twice && module == Module::kMlp) continue;
      if (options_.modules.of(module)) loop.requests.merge(RequestsOf(module));
    }
    const ModelConfig& model = job.dense().config();
    job.ForEachBlock(loop, [&](BlockTask& task) {
      const auto compress = [&](Module module, const BlockStatistics& statistics) {
        const Stopwatch watch;
        const ModuleInput input{.options = options_,
                                .model = model,
                                .dense = *task.dense,
                                .statistics = statistics,
                                .layer = task.layer,
                                .random = job.MakeRandom(ModuleName(module), task.layer)};
        ModuleReport report = CompressOne(module, input, WidthOf(task.plan, module), task.block);
        report.seconds = watch.Seconds();
        task.report->modules[ModuleName(module)] = std::move(report);
      };
      for (const Module module : {Module::kQk, Module::kVo}) {
        if (options_.modules.of(module)) compress(module, *task.stats);
      }
      if (!options_.modules.mlp) return;
      const bool narrows = task.plan.mlp_width < task.dense->mlp.down.in();
      if (twice && narrows) {
        compress(Module::kMlp, task.Collect(MlpRequests(options_)));
      } else {
        compress(Module::kMlp, task.stats != nullptr ? *task.stats : BlockStatistics());
      }
    });
  }

  std::string TrialKey() const override { return key_; }

  std::vector<ModuleGroup> ModuleGroups() const override {
    std::vector<ModuleGroup> groups;
    for (const Module module : kModules) {
      if (options_.modules.of(module)) groups.push_back({ModuleName(module), {module}});
    }
    return groups;
  }

  StatRequests TrialRequests(const ModelConfig&) const override {
    StatRequests requests;
    for (const Module module : kModules) {
      if (options_.modules.of(module)) requests.merge(RequestsOf(module));
    }
    return requests;
  }

  std::vector<Block> CompressAlone(const TrialInput& input, const ModuleGroup& group,
                                   const std::vector<double>& removed) const override {
    const Module module = group.modules.front();
    std::vector<Block> blocks;
    for (const double fraction : removed) {
      blocks.push_back(input.dense);
      const ModuleInput one{.options = options_,
                            .model = input.model,
                            .dense = input.dense,
                            .statistics = input.statistics,
                            .layer = input.layer,
                            .random = MakeLayerRandom(0, ModuleName(module), input.layer)};
      CompressOne(module, one, WidthLeft(input.model, module, fraction), blocks.back());
    }
    return blocks;
  }

 private:
  StatRequests RequestsOf(Module module) const {
    switch (module) {
      case Module::kMlp:
        return MlpRequests(options_);
      case Module::kQk:
        return QueryKeyRequests(options_);
      case Module::kVo:
        return ValueOutputRequests(options_);
    }
    return {};
  }

  int64_t WidthLeft(const ModelConfig& model, Module module, double removed) const {
    ModuleSparsity alone;
    alone.of(module) = removed;
    Rounding rounding = options_.RoundingFor(model);
    rounding.mode = RoundingMode::kNearest;
    const ModelConfig narrowed =
        NarrowedConfig(model, Allocation(model.layers.size(), alone), rounding);
    return WidthOf(narrowed.layers.front(), module);
  }

  static int64_t WidthOf(const LayerConfig& layer, Module module) {
    switch (module) {
      case Module::kMlp:
        return layer.mlp_width;
      case Module::kQk:
        return layer.heads.front().qk_width;
      case Module::kVo:
        return layer.heads.front().vo_width;
    }
    return 0;
  }

  static ModuleReport CompressOne(Module module, const ModuleInput& input, int64_t width,
                                  Block& block) {
    switch (module) {
      case Module::kMlp:
        return CompressMlp(input, width, block);
      case Module::kQk:
        return CompressQueryKey(input, width, block);
      case Module::kVo:
        return CompressValueOutput(input, width, block);
    }
    return {};
  }

  // A narrowed value head has its bias absorbed by the output, or a new one if it is centred.
  void SetBiases(const ModelConfig& dense, LayerConfig& layer) const {
    if (layer.heads.front().vo_width == dense.head_dim) return;
    const bool biased = layer.linears[Role::kValue].bias, centers = options_.Centers(biased);
    layer.linears[Role::kValue].bias = centers;
    if (centers || biased) layer.linears[Role::kOutput].bias = true;
  }

  ModeGptOptions options_;
  std::string key_;
};

class ModeGpt final : public ModeGptMethod {
 public:
  using Params = ModeGptOptions;
  explicit ModeGpt(const Params& params) : ModeGptMethod(params, MethodKey("modegpt", params)) {}
};
CONDENSE_REGISTER(Compressor, ModeGpt, "modegpt", 1,
                  "Nystrom, CR and SVD on the module pairs of a block (Lin et al. 2024)");

class ModeGptPlus final : public ModeGptMethod {
 public:
  using Params = ModeGptPlusOptions;
  explicit ModeGptPlus(const Params& params)
      : ModeGptMethod(params, MethodKey("modegpt_plus", params)) {}
};
CONDENSE_REGISTER(Compressor, ModeGptPlus, "modegpt_plus", 1,
                  "MoDeGPT with elimination, gains, attended values and refreshed statistics");

}  // namespace
}  // namespace condense
