// Squared norms of a unit's weights (methods.md 5.4). Looks at no data.
#pragma once

#include "compression/selectors/channel_selector.h"

namespace condense {

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

}  // namespace condense
