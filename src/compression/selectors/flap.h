// Fluctuation of a channel (FLAP, An et al., arXiv 2312.11983; methods.md 5.6): a channel that
// hardly varies can be replaced by its mean, through a bias. The exact population variance is
// taken.
#pragma once

#include <memory>

#include "compression/selectors/channel_selector.h"

namespace condense {

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

}  // namespace condense
