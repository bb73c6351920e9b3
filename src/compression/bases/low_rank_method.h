// What the methods of the SVD family share (methods.md 5.8): every linear map of a block becomes a
// product of two thin ones. Holds the ranks and the replacement; a method says how it whitens.
//
// Norms, biases, heads and the residual stream stay as they are: full queries and keys are rebuilt,
// so that rotary positions are not affected. Two thin products can be slower than one dense one.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "compression/bases/method_key.h"
#include "compression/compressor.h"
#include "compression/solvers/low_rank.h"
#include "config/fields.h"

namespace condense {

enum class RankRounding { kCarry, kFloor };
template <>
struct EnumNames<RankRounding> {
  static constexpr std::array names{std::pair{RankRounding::kCarry, "carry"},
                                    std::pair{RankRounding::kFloor, "floor"}};
};

struct LowRankOptions {
  int64_t rank_multiple = 1;
  RankRounding rounding = RankRounding::kCarry;
  template <class V>
  void Fields(V&& field) {
    field("rank_multiple", rank_multiple, "ranks are rounded down to a multiple of this",
          Range::AtLeast(1));
    field("rounding", rounding,
          "what rounding down leaves over goes to the same map of the next layer, or is lost (as "
          "published)");
  }
};

// Ranks of one map in all layers, of which fractions are kept: kept x in x out / (in + out),
// rounded down to a multiple. At least one multiple, and below the rank from which two factors are
// no smaller than the matrix; no rank where all is kept: the map is copied.
std::vector<std::optional<int64_t>> KeptRanks(const MatrixShape& shape,
                                              const std::vector<double>& kept,
                                              const LowRankOptions& options);
// The dense model with the ranks that an allocation leaves.
ModelConfig FactoredConfig(const ModelConfig& dense, const Allocation& allocation,
                           const LowRankOptions& options);
// The two factors in place of the matrix; the bias stays.
void ReplaceByFactors(const LowRank& factors, Linear& linear);

class LowRankMethod : public Compressor, public ModuleTrials {
 public:
  // `key`: MethodKey().
  LowRankMethod(LowRankOptions options, std::string key)
      : options_(options), key_(std::move(key)) {}

  bool UsesAllocator() const override { return true; }
  const char* default_allocator() const override { return "uniform"; }
  Plan MakePlan(const PlanContext& context, double nominal) const override;
  StatRequests DenseRequests(const ModelConfig&) const override { return Requests(); }
  void Compress(CompressionJob& job) const override;

  // All maps of a module at once, by the first stage where a method has more.
  const ModuleTrials* trials() const override { return this; }
  std::string TrialKey() const override { return key_; }
  std::vector<ModuleGroup> ModuleGroups() const override;
  StatRequests TrialRequests(const ModelConfig&) const override { return Requests(); }
  void CompressAlone(const TrialInput& input, const ModuleGroup& group,
                     const std::vector<double>& removed,
                     const std::function<void(const TrialBlock& made)>& use) const override;

 protected:
  // What has to be known of the inputs of a map, if anything.
  virtual std::optional<StatKind> InputStatistic() const = 0;
  // S, from that statistic (undefined if none was asked for). `what` names the inputs in errors.
  virtual Whitening WhiteningOf(const Tensor& statistic, const std::string& what) const = 0;

  StatRequests Requests() const;  // the statistic for all maps of a block
  // Factors the maps of a block, dense so far, that have a rank in `plan`.
  void FactorBlock(int64_t layer, const LayerConfig& plan, const BlockStatistics& statistics,
                   Block& block, LayerReport& report) const;

 private:
  LowRankOptions options_;
  std::string key_;
};

}  // namespace condense
