// Backward elimination with compensation (OBC, Frantar & Alistarh, arXiv 2208.11580; ZipLM, Kurtic
// et al., arXiv 2302.04089; methods.md 5.7). Only the choice of channels is used: the method's
// refit gives the weights.
#pragma once

#include "compression/selectors/channel_selector.h"
#include "compression/solvers/elimination.h"

namespace condense {

struct ObcOptions {
  double damping = 1e-6;
  template <class V>
  void Fields(V&& field) {
    field("damping", damping, "added to C, times its mean diagonal (the publication: 1e-2)",
          Range::Above(0));
  }
};
SelectorPointer MakeObc(const ObcOptions& options);
// The order in which it would remove `count` of the units, and what each removal costs.
Elimination ObcOrder(const ObcOptions& options, const ChannelInput& input, int64_t count);

}  // namespace condense
