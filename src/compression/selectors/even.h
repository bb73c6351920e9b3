// Evenly spaced units: indices floor((i + 1/2) m / k) (methods.md 5.4).
#pragma once

#include "compression/selectors/channel_selector.h"

namespace condense {

SelectorPointer MakeEven();

}  // namespace condense
