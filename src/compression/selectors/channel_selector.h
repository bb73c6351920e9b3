// Which units stay. There is one selector per file, registered by name; a method holds one as a
// Component<ChannelSelector>, or makes it from its own options (selectors/flap.h), and refits the
// consumer matrix itself.
//
// A channel is one input of a consumer matrix: of the MLP, row j of the down projection, fed by row
// j of the up and gate projections; of attention, a row of the output projection, fed by rows of
// query, key and value. A unit is one channel, or several that are kept or removed together, such
// as a head. Notation of methods.md: h [m] is the input of the consumer, C = G(h) its Gram matrix.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/random.h"
#include "calibration/statistics.h"
#include "compression/solvers/indices.h"
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

// A map whose rows feed the channels alone, and are removed with them.
struct Producer {
  const Linear* linear = nullptr;
  Tensor rows;       // [channels] int64: the row that feeds each channel; undefined: its own index
  double share = 1;  // of the row that one channel accounts for, where several share it
};

struct ChannelInput {
  const BlockStatistics& statistics;     // at least the selector's Requests()
  Tap tap = Tap::kMlpHidden;             // where the channels are seen
  const Linear* consumer = nullptr;      // dense; null where nothing linear reads them: query/key
  std::vector<Producer> producers = {};  // dense
  Tensor units = {};                     // [units, r] int64, channels of each; undefined: one each
  Random random;                         // of this layer and module alone
  RidgeOptions ridge = {};               // of the method, for selectors without options for it

  int64_t channels() const;
  int64_t count() const { return units.defined() ? units.size(0) : channels(); }  // of units
  // A statistic of the tap, on the device of the weights.
  Tensor Statistic(StatKind kind) const;
  // The consumer as W [channels, out], float64.
  Tensor Consumer() const;
  // [channels] -> [units]
  Tensor SumOverUnits(const Tensor& of_channels) const;
};
// The channels of an MLP.
ChannelInput MlpChannels(const BlockStatistics& statistics, const Mlp& mlp, Random random,
                         RidgeOptions ridge = {});

class ChannelSelector {
 public:
  static constexpr const char* kKind = "channel selector";
  virtual ~ChannelSelector() = default;
  // Statistics of the tap that it looks at.
  virtual StatRequests Requests(Tap tap) const = 0;
  // The k units to keep, 1 <= k <= count().
  virtual Indices Select(const ChannelInput& input, int64_t k) const = 0;
};
using SelectorPointer = std::shared_ptr<const ChannelSelector>;

// A selector that scores channels independently of how many stay; a unit has the sum.
class ScoringSelector : public ChannelSelector {
 public:
  // [channels] float64; large is important.
  virtual Tensor ChannelScores(const ChannelInput& input) const = 0;
  Tensor Scores(const ChannelInput& input) const {
    return input.SumOverUnits(ChannelScores(input));
  }
  Indices Select(const ChannelInput& input, int64_t k) const final;
};

}  // namespace condense
