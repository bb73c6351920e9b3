// Structured Wanda (Sun et al., arXiv 2306.11695; methods.md 5.5): the mean over outputs of
// |W_jo| sqrt(E[h_j^2]).
#pragma once

#include "compression/selectors/channel_selector.h"

namespace condense {

SelectorPointer MakeWanda();

}  // namespace condense
