// How a consumer matrix makes up for dropped inputs: an adapter between the stored tensors of a
// linear map and the refits of solvers/ (methods.md 1.2). Serves the down projection and, over all
// heads together, the output projection of attention.
#pragma once

#include <optional>

#include "calibration/statistics.h"
#include "compression/solvers/refit.h"
#include "config/fields.h"
#include "model/linear.h"

namespace condense {

enum class Refit { kDelta, kMinNorm, kNone };
template <>
struct EnumNames<Refit> {
  static constexpr std::array names{std::pair{Refit::kDelta, "delta"},
                                    std::pair{Refit::kMinNorm, "min_norm"},
                                    std::pair{Refit::kNone, "none"}};
};
enum class RefitBias { kKeep, kIntercept };
template <>
struct EnumNames<RefitBias> {
  static constexpr std::array names{std::pair{RefitBias::kKeep, "keep"},
                                    std::pair{RefitBias::kIntercept, "intercept"}};
};

struct ConsumerRefitOptions {
  Refit refit = Refit::kNone;
  double mu = 0;  // relative to the mean diagonal
  RefitBias bias = RefitBias::kKeep;

  template <class V>
  void Fields(V&& field) {
    field("refit", refit, "how the consumer makes up for dropped units");
    field("refit_mu", mu, "ridge of the refit, times the mean diagonal of the Gram matrix",
          Range::AtLeast(0));
    field("refit_bias", bias,
          "intercept: fit the output bias too, made where there is none; without a refit it takes "
          "up the mean of what is dropped");
  }

  bool changes() const { return refit != Refit::kNone || bias != RefitBias::kKeep; }
  StatRequests Requests(Tap tap) const;
};

struct ConsumerRefit {
  Linear linear;  // narrowed, in the dtype of the dense one
  double damping = 0;
  std::optional<double> condition;
  std::optional<double> relative_error;  // where the statistics tell
};
// The consumer on kept inputs. `statistics` hold ConsumerRefitOptions::Requests(tap), of the dense
// consumer's input. Without a refit the kept columns stay bit for bit.
ConsumerRefit RefitConsumer(const ConsumerRefitOptions& options, const BlockStatistics& statistics,
                            Tap tap, const Linear& dense, const Indices& kept);

}  // namespace condense
