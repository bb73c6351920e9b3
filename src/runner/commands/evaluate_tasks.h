// The part of `runner evaluate` that scores tasks.
#pragma once

#include "runner/arguments.h"

namespace condense {

int EvaluateTasks(const Arguments& arguments);

}  // namespace condense
