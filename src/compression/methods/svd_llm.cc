// SVD-LLM: Wang et al., Truncation-aware Singular Value Decomposition, arXiv 2403.07378 (methods.md
// 5.8). Each weight is truncated after whitening its inputs with the Cholesky factor of their Gram
// matrix, which makes the truncation the best one for the outputs on the calibration set.
//
// `update` is the paper's second stage: from the first block to the last the second factor is
// fitted again, by least squares on what the block receives from the compressed ones below it. The
// target is the dense weight on those inputs.
#include <cmath>
#include <map>
#include <vector>

#include "base/system.h"
#include "compression/bases/low_rank_method.h"
#include "compression/linear_inputs.h"
#include "compression/solvers/refit.h"
#include "config/registry.h"

namespace condense {
namespace {

class SvdLlm final : public LowRankMethod {
 public:
  struct Params : LowRankOptions {
    double damping = 0;
    bool update = false;
    template <class V>
    void Fields(V&& field) {
      field("damping", damping,
            "added to each Gram matrix, times its mean diagonal; more is added where it must be",
            Range::AtLeast(0));
      field("update", update,
            "fit the second factors again on inputs that come from the compressed blocks below");
      LowRankOptions::Fields(field);
    }
  };
  explicit SvdLlm(const Params& params)
      : LowRankMethod(params, MethodKey("svd_llm", params)), params_(params) {}

  void Compress(CompressionJob& job) const override {
    if (!params_.update) return LowRankMethod::Compress(job);
    std::vector<FactoredBlock> first = FirstStage(job);
    job.ForEachBlock({.requests = Requests(), .refresh = Refresh::kLayer}, [&](BlockTask& task) {
      FactoredBlock& made = first[static_cast<size_t>(task.layer)];
      task.report->modules = std::move(made.report.modules);
      for (auto& [role, linear] : made.linears) {
        task.block.LinearOf(role) = std::move(linear);
        Update(task, role);
      }
    });
  }

 protected:
  std::optional<StatKind> InputStatistic() const override { return StatKind::kGram; }

  Whitening WhiteningOf(const Tensor& c, const std::string& what) const override {
    return Whitening::OfGram(c, params_.damping, what);
  }

 private:
  // What the first stage made of one block, until the second comes to it.
  struct FactoredBlock {
    std::map<Role, Linear> linears;
    LayerReport report;
  };

  std::vector<FactoredBlock> FirstStage(CompressionJob& job) const {
    std::vector<FactoredBlock> blocks;
    job.statistics().ForEachLayer(Requests(), [&](int64_t l, const BlockStatistics& statistics) {
      const LayerConfig& plan = job.config().layers[static_cast<size_t>(l)];
      Block block = job.dense().LoadBlock(l);
      FactoredBlock made;
      FactorBlock(l, plan, statistics, block, made.report);
      for (const Role role : kRoles) {
        if (plan.linears[role].rank) made.linears[role] = block.LinearOf(role);
      }
      blocks.push_back(std::move(made));
    });
    return blocks;
  }

  // B <- (A^T C' A)^-1 A^T C' W, started from the B of the first stage.
  static void Update(BlockTask& task, Role role) {
    const Stopwatch watch;
    Linear& linear = task.block.LinearOf(role);
    const Tensor w = task.dense->LinearOf(role).weight.t().to(kF64);
    const RefitResult refit =
        RefitSecondFactor(task.stats->Get(Gram(InputTap(role))).to(w.device()),
                          linear.a.t().to(kF64), w, linear.b.t().to(kF64), 0);
    linear.b = refit.weight.t().to(linear.b.scalar_type()).contiguous();
    ModuleReport& report = task.report->modules[RoleName(role)];
    report.damping = std::max(report.damping, refit.damping);
    if (refit.squared_norm > 0) {
      report.relative_error = std::sqrt(refit.squared_error / refit.squared_norm);
    }
    report.seconds += watch.Seconds();
  }

  Params params_;
};

CONDENSE_REGISTER(
    Compressor, SvdLlm, "svd_llm", 1,
    "SVD of weights whitened by their inputs, best for the outputs (Wang et al. 2024)");

}  // namespace
}  // namespace condense
