// Refit of all matrices of a narrowed attention module to a target (gauss_newton.h): queries, keys
// and values move along with the output projection, through the softmax.
#pragma once

#include <string>

#include "compression/refits/gauss_newton.h"
#include "model/block.h"

namespace condense {

// Rows: inputs [sequences, tokens, in], targets [sequences, tokens, out]. In memory are the attention
// weights of all heads for 256 queries of at least one sequence.
StepsTaken RefitAttention(const RefitVisit& visit, const GaussNewtonOptions& options,
                          const std::string& where, Attention& attention);

}  // namespace condense
