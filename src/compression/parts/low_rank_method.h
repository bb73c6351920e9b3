// What the methods of the SVD family share (methods.md 5.8): every linear map of a block becomes a
// product of two thin ones. Holds the ranks and the replacement; a method says how it whitens.
//
// Norms, biases, heads and the residual stream stay as they are: full queries and keys are rebuilt,
// so that rotary positions are not affected. Two thin products can be slower than one dense one.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "compression/compressor.h"
#include "compression/solvers/low_rank.h"

namespace condense {

struct LowRankOptions {
  int64_t rank_multiple = 1;
  template <class V>
  void Fields(V&& field) {
    field("rank_multiple", rank_multiple, "ranks are rounded down to a multiple of this",
          Range::AtLeast(1));
  }
};

// floor(kept x in x out / (in + out)), rounded down to a multiple, at least one multiple; nothing
// if the map is better copied: all of it is kept, or two factors would be no smaller.
std::optional<int64_t> KeptRank(const MatrixShape& shape, double kept, int64_t multiple);
// The dense model with the ranks that an allocation leaves.
ModelConfig FactoredConfig(const ModelConfig& dense, const Allocation& allocation,
                           int64_t rank_multiple);
// The two factors in place of the matrix; the bias stays.
void ReplaceByFactors(const LowRank& factors, Linear& linear);

class LowRankMethod : public Compressor {
 public:
  explicit LowRankMethod(LowRankOptions options) : options_(options) {}

  bool UsesAllocator() const override { return true; }
  const char* default_allocator() const override { return "uniform"; }
  Plan MakePlan(const PlanContext& context, double nominal) const override;
  void Compress(CompressionJob& job) const override;

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
};

}  // namespace condense
