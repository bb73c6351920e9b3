// Selectors that methods make from options of their own. Each stands in the file of its name, where
// it is registered too.
#pragma once

#include <memory>

#include "compression/selectors/channel_selector.h"

namespace condense {

using SelectorPointer = std::shared_ptr<const ChannelSelector>;

enum class MagnitudeOf { kCoupled, kConsumer };
template <>
struct EnumNames<MagnitudeOf> {
  static constexpr std::array names{std::pair{MagnitudeOf::kCoupled, "coupled"},
                                    std::pair{MagnitudeOf::kConsumer, "consumer"}};
};
struct MagnitudeOptions {
  MagnitudeOf of = MagnitudeOf::kCoupled;
  template <class V>
  void Fields(V&& field) {
    field("of", of,
          "all weights that go with a unit, or those of its consumer alone, if it has one");
  }
};
SelectorPointer MakeMagnitude(const MagnitudeOptions& options);

enum class FlapMetric { kWifv, kIfv, kWifn };
template <>
struct EnumNames<FlapMetric> {
  static constexpr std::array names{std::pair{FlapMetric::kWifv, "wifv"},
                                    std::pair{FlapMetric::kIfv, "ifv"},
                                    std::pair{FlapMetric::kWifn, "wifn"}};
};
struct FlapOptions {
  FlapMetric metric = FlapMetric::kWifv;
  bool square = false;  // the score of each channel; not an option of the selector
  template <class V>
  void Fields(V&& field) {
    field("metric", metric,
          "wifv: variance x squared norm of the consumer row; ifv: variance; wifn: root mean "
          "square x mean absolute weight");
  }
};
std::shared_ptr<const ScoringSelector> MakeFlap(const FlapOptions& options);

struct ObcOptions {
  double damping = 1e-6;
  int64_t drop_block = 32;
  template <class V>
  void Fields(V&& field) {
    field("damping", damping, "added to C, times its mean diagonal (the publication: 1e-2)",
          Range::Above(0));
    field("drop_block", drop_block, "channels removed at a time; 1 is the exact greedy order",
          Range::AtLeast(1));
  }
};
SelectorPointer MakeObc(const ObcOptions& options);
// The order in which it would remove `count` of the units, and what each removal costs.
Elimination ObcOrder(const ObcOptions& options, const ChannelInput& input, int64_t count);

SelectorPointer MakeEven();
SelectorPointer MakeRandomUnits();
SelectorPointer MakeWanda();

}  // namespace condense
