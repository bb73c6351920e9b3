// Removal of whole blocks (methods.md 5.1, 5.2, 5.4): one class for all methods that differ in
// which blocks they remove. The blocks that stay are copied.
#pragma once

#include <vector>

#include "compression/compressor.h"
#include "config/registry.h"

namespace condense {

enum class DepthRounding { kRound, kFloor, kCeil };
template <>
struct EnumNames<DepthRounding> {
  static constexpr std::array names{std::pair{DepthRounding::kRound, "round"},
                                    std::pair{DepthRounding::kFloor, "floor"},
                                    std::pair{DepthRounding::kCeil, "ceil"}};
};

struct DepthOptions {
  DepthRounding rounding = DepthRounding::kRound;
  template <class V>
  void Fields(V&& field) {
    field("rounding", rounding, "how ratio x layers becomes a number of blocks");
  }
};

class DepthMethod : public Compressor {
 public:
  explicit DepthMethod(DepthOptions options) : options_(options) {}

  MatchRule match_rule() const override { return MatchRule::kNearest; }
  Plan MakePlan(const PlanContext& context, double nominal) const override;
  void Compress(CompressionJob& job) const override;

 protected:
  // The most blocks that can go.
  virtual int64_t MostRemoved(int64_t layers) const { return layers - 1; }
  // `count` distinct blocks.
  virtual std::vector<int64_t> Removed(const PlanContext& context, int64_t count) const = 0;

 private:
  DepthOptions options_;
};

}  // namespace condense
