// Statistics of what the linear maps of a block read.
#pragma once

#include "calibration/statistics.h"

namespace condense {

// One kind of statistic of the inputs of all linear maps.
StatRequests InputStatistics(StatKind kind);

}  // namespace condense
