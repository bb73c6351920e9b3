// What the linear maps of a block read: where their inputs are tapped.
#pragma once

#include <string>

#include "calibration/statistics.h"

namespace condense {

// The tap of the input of a linear map, by its role.
Tap InputTap(const std::string& role);
// One kind of statistic of the inputs of all linear maps.
StatRequests InputStatistics(StatKind kind);

}  // namespace condense
