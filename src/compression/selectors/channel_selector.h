// Which MLP channels stay. One selector a file, registered by name; a method holds one as a
// Component<ChannelSelector> and refits the consumer matrix itself.
//
// A channel is column j of the up and gate projections and row j of the down projection, its
// consumer. Notation of methods.md: h [m] is the input of the down projection, C = G(h) its Gram
// matrix.
#pragma once

#include <cstdint>
#include <optional>

#include "base/random.h"
#include "calibration/statistics.h"
#include "compression/solvers/solvers.h"
#include "config/fields.h"
#include "model/block.h"

namespace condense {

// What a Gram matrix is divided by, before lambda is added to it.
enum class GramScale { kSum, kPerSequence, kPerToken };
template <>
struct EnumNames<GramScale> {
  static constexpr std::array names{std::pair{GramScale::kSum, "sum"},
                                    std::pair{GramScale::kPerSequence, "per_sequence"},
                                    std::pair{GramScale::kPerToken, "per_token"}};
};
double GramDivisor(GramScale scale, const BlockStatistics& statistics);

struct RidgeOptions {
  double lambda = 1;
  GramScale scale = GramScale::kSum;
};

struct ChannelInput {
  const BlockStatistics& statistics;  // at least the selector's Requests()
  const Mlp& mlp;                     // dense
  Random random;                      // of this layer and module alone
  RidgeOptions ridge = {};            // of the method, for selectors that are not told otherwise

  int64_t channels() const { return mlp.down.in(); }
  // A statistic on the device of the weights.
  Tensor Statistic(const StatRequest& request) const;
  // The down projection as W_D [m, d], float64.
  Tensor Consumer() const;
};

class ChannelSelector {
 public:
  static constexpr const char* kKind = "channel selector";
  virtual ~ChannelSelector() = default;
  virtual StatRequests Requests() const = 0;
  // The k channels to keep, 1 <= k <= m.
  virtual Indices Select(const ChannelInput& input, int64_t k) const = 0;
};

// A selector that scores channels independently of how many stay.
class ScoringSelector : public ChannelSelector {
 public:
  // [m] float64; large is important.
  virtual Tensor Scores(const ChannelInput& input) const = 0;
  Indices Select(const ChannelInput& input, int64_t k) const final;
};

}  // namespace condense
