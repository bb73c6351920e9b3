#include "compression/bases/module_pairs.h"

#include "base/system.h"

namespace condense {

int64_t ModuleWidth(const LayerConfig& layer, Module module) {
  switch (module) {
    case Module::kMlp:
      return layer.mlp_width;
    case Module::kQk:
      return layer.KeyWidth();
    case Module::kVo:
      return layer.ValueWidth();
  }
  return 0;
}

int64_t DenseWidth(const ModelConfig& dense, Module module) {
  return module == Module::kMlp ? dense.intermediate_size : dense.num_kv_heads * dense.head_dim;
}

int64_t FirstQuery(const std::vector<HeadConfig>& heads, size_t j) {
  int64_t first = 0;
  for (size_t i = 0; i < j; ++i) first += heads[i].queries;
  return first;
}

Tensor SharedByQueries(const Tensor& row, const std::vector<HeadConfig>& heads, int64_t width) {
  std::vector<Tensor> pieces;
  for (size_t j = 0; j < heads.size(); ++j) {
    pieces.insert(pieces.end(), static_cast<size_t>(heads[j].queries),
                  row.narrow(0, static_cast<int64_t>(j) * width, width));
  }
  return at::cat(pieces);
}

void ReportModule(BlockTask& task, Module module, const std::function<ModuleReport()>& fn) {
  const Stopwatch watch;
  ModuleReport report = fn();
  report.seconds = watch.Seconds();
  task.report->modules[ModuleName(module)] = std::move(report);
}

Plan ModulePairMethod::MakePlan(const PlanContext& context, double nominal) const {
  const ModelConfig& dense = context.dense();
  RequireSuitable(dense);
  Allocation allocation = context.Allocate(nominal);
  for (ModuleSparsity& layer : allocation) {
    for (const Module module : kModules) {
      if (!compresses(module)) layer.of(module) = 0;
    }
  }
  ModelConfig config = NarrowedConfig(dense, allocation, RoundingFor(dense));
  for (LayerConfig& layer : config.layers) {
    if (ModuleWidth(layer, Module::kVo) == DenseWidth(dense, Module::kVo)) continue;
    const bool biased = layer.linears[Role::kValue].bias, keeps = BiasesNarrowedValues(biased);
    layer.linears[Role::kValue].bias = keeps;
    if (keeps || biased) layer.linears[Role::kOutput].bias = true;
  }
  return {std::move(config), std::move(allocation)};
}

std::vector<ModuleGroup> ModulePairMethod::ModuleGroups() const {
  std::vector<ModuleGroup> groups;
  for (const Module module : kModules) {
    if (compresses(module)) groups.push_back({ModuleName(module), {module}});
  }
  return groups;
}

StatRequests ModulePairMethod::TrialRequests(const ModelConfig& dense) const {
  StatRequests requests;
  for (const Module module : kModules) {
    if (compresses(module)) requests.merge(RequestsOf(module, dense));
  }
  return requests;
}

int64_t ModulePairMethod::WidthLeft(const ModelConfig& dense, Module module, double removed) const {
  ModuleSparsity alone;
  alone.of(module) = removed;
  Rounding rounding = RoundingFor(dense);
  rounding.mode = RoundingMode::kNearest;
  const ModelConfig narrowed =
      NarrowedConfig(dense, Allocation(dense.layers.size(), alone), rounding);
  return ModuleWidth(narrowed.layers.front(), module);
}

}  // namespace condense
