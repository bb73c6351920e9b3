// MoDeGPT: Lin et al., Modular Decomposition for LLM Compression, arXiv 2408.09632 (methods.md 1).
//
// A block is split into pairs of matrices - MLP, query/key, value/output - whose common inner width
// can shrink without a change of the residual stream. This file holds the method; the modules are
// in modegpt_mlp.cc, modegpt_query_key.cc and modegpt_value_output.cc, the mathematics in solvers/.
// `modegpt` is the published recipe, `modegpt_plus` the project's improvements of all three.
#include "base/error.h"
#include "compression/bases/method_key.h"
#include "compression/bases/module_pairs.h"
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

class ModeGptMethod : public ModulePairMethod {
 public:
  ModeGptMethod(ModeGptOptions options, std::string key)
      : ModulePairMethod(options.modules, std::move(key)), options_(std::move(options)) {}

  StatRequests DenseRequests(const ModelConfig& dense) const override {
    return options_.refresh == Refresh::kNone ? FirstRequests(dense) : StatRequests();
  }

  void Compress(CompressionJob& job) const override {
    const ModelConfig& model = job.dense().config();
    const bool twice = options_.refresh == Refresh::kModule;
    const BlockLoop loop{.requests = FirstRequests(model), .refresh = options_.refresh};
    job.ForEachBlock(loop, [&](BlockTask& task) {
      const auto compress = [&](Module module, const BlockStatistics& statistics) {
        ReportModule(task, module, [&] {
          const ModuleInput input{.options = options_,
                                  .model = model,
                                  .dense = *task.dense,
                                  .statistics = statistics,
                                  .layer = task.layer,
                                  .random = job.MakeRandom(ModuleName(module), task.layer)};
          return CompressOne(module, input, ModuleWidth(task.plan, module), task.block);
        });
      };
      for (const Module module : {Module::kQk, Module::kVo}) {
        if (compresses(module)) compress(module, *task.stats);
      }
      if (!compresses(Module::kMlp)) return;
      const bool narrows = task.plan.mlp_width < task.dense->mlp.down.in();
      if (twice && narrows) {
        compress(Module::kMlp, task.Collect(MlpRequests(options_)));
      } else {
        compress(Module::kMlp, *task.stats);
      }
    });
  }

  void CompressAlone(const TrialInput& input, const ModuleGroup& group,
                     const std::vector<double>& removed,
                     const std::function<void(const TrialBlock& made)>& use) const override {
    const Module module = group.modules.front();
    for (const double fraction : removed) {
      TrialBlock made{.block = input.dense, .kept_channels = {}};
      const ModuleInput one{.options = options_,
                            .model = input.model,
                            .dense = input.dense,
                            .statistics = input.statistics,
                            .layer = input.layer,
                            .random = MakeLayerRandom(0, ModuleName(module), input.layer)};
      ModuleReport report =
          CompressOne(module, one, WidthLeft(input.model, module, fraction), made.block);
      if (module == Module::kMlp) made.kept_channels = std::move(report.kept);
      use(made);
    }
  }

 protected:
  void RequireSuitable(const ModelConfig& dense) const override { options_.GainFor(dense); }
  Rounding RoundingFor(const ModelConfig& dense) const override {
    return options_.RoundingFor(dense);
  }
  bool BiasesNarrowedValues(bool dense_is_biased) const override {
    return options_.Centers(dense_is_biased);
  }

  StatRequests RequestsOf(Module module, const ModelConfig&) const override {
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

 private:
  // Of a block before any of its modules is narrowed.
  StatRequests FirstRequests(const ModelConfig& model) const {
    StatRequests requests;
    for (const Module module : kModules) {
      if (options_.refresh == Refresh::kModule && module == Module::kMlp) continue;
      if (compresses(module)) requests.merge(RequestsOf(module, model));
    }
    return requests;
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

  ModeGptOptions options_;
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
