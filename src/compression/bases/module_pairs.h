// What methods share that narrow the pairs of matrices in a block - MLP, query/key, value/output -
// whose common inner width can shrink without a change of the residual stream: the plan, the
// widths, the biases, and the trials of one module alone. How a module is narrowed is up to the
// method.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "compression/bases/option_names.h"
#include "compression/compressor.h"

namespace condense {

// Channels of the MLP, or columns of all key/value heads together.
int64_t ModuleWidth(const LayerConfig& layer, Module module);
int64_t DenseWidth(const ModelConfig& dense, Module module);

// The first query head of key/value head j.
int64_t FirstQuery(const std::vector<HeadConfig>& heads, size_t j);
// A row over key/value heads of `width` columns each, repeated for the query heads of each:
// [key/value heads x width] -> [query heads x width].
Tensor SharedByQueries(const Tensor& row, const std::vector<HeadConfig>& heads, int64_t width);

// Runs fn, and reports what it says of a module together with the time that it took.
void ReportModule(BlockTask& task, Module module, const std::function<ModuleReport()>& fn);

class ModulePairMethod : public Compressor, public ModuleTrials {
 public:
  // trial_key: TrialKey().
  ModulePairMethod(const ModuleSwitches& modules, std::string trial_key)
      : modules_(modules), trial_key_(std::move(trial_key)) {}

  bool UsesAllocator() const override { return true; }
  Plan MakePlan(const PlanContext& context, double nominal) const override;

  const ModuleTrials* trials() const override { return this; }
  std::string TrialKey() const override { return trial_key_; }
  std::vector<ModuleGroup> ModuleGroups() const override;  // each module alone
  StatRequests TrialRequests(const ModelConfig& dense) const override;

 protected:
  bool compresses(Module module) const { return modules_.of(module); }

  // ConfigError if the options do not suit the model: said before anything expensive is done.
  virtual void RequireSuitable(const ModelConfig& dense) const = 0;
  virtual Rounding RoundingFor(const ModelConfig& dense) const = 0;
  // Statistics of the dense model that one module is narrowed by.
  virtual StatRequests RequestsOf(Module module, const ModelConfig& dense) const = 0;
  // Whether narrowed values get a bias of their own. If not, the output takes theirs up.
  virtual bool BiasesNarrowedValues(bool /*dense_is_biased*/) const { return false; }

  // ModuleWidth() of a module from which a fraction is removed alone, to the nearest unit.
  int64_t WidthLeft(const ModelConfig& dense, Module module, double removed) const;

 private:
  ModuleSwitches modules_;
  std::string trial_key_;
};

}  // namespace condense
