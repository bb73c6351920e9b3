// From database rows to records; shared by the parts of ResultsStore.
#pragma once

#include "results/database.h"
#include "results/records.h"

namespace condense {

WorkStatus ParseStatus(const std::string& text);
WorkState WorkStateFrom(const SqlRow& row);
RunRecord RunFrom(const SqlRow& row);
StageRecord StageFrom(const SqlRow& row);  // `cached` is left false
ExperimentRecord ExperimentFrom(const SqlRow& row);
MetricRecord MetricFrom(const SqlRow& row);
LayerRecord LayerFrom(const SqlRow& row);
EnvironmentRecord EnvironmentFrom(const SqlRow& row);

// The columns of `environment` except id and sha256, in the order in which they are hashed.
std::vector<SqlColumn> ColumnsOf(const EnvironmentRecord& environment);

}  // namespace condense
