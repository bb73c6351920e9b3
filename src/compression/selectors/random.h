// A random choice of units (methods.md 5.4): the first k of a permutation from the stream of the
// layer, so that results do not depend on the order of layers and are nested in k.
#pragma once

#include "compression/selectors/channel_selector.h"

namespace condense {

SelectorPointer MakeRandomUnits();

}  // namespace condense
