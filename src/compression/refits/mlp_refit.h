// Refit of all matrices of a narrowed MLP to a target (gauss_newton.h): gate and up move along with
// down.
#pragma once

#include <string>

#include "compression/refits/gauss_newton.h"
#include "model/block.h"

namespace condense {

// Rows: inputs [n, in], targets [n, out].
StepsTaken RefitMlp(const RefitVisit& visit, const GaussNewtonOptions& options,
                    const std::string& where, Mlp& mlp);

}  // namespace condense
