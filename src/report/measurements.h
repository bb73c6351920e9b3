// Measurements for tables and figures, from the results database.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "report/tables/table.h"
#include "results/results_store.h"

namespace condense {

// The keys that identify a cell: model, dtype, method (the experiment's label, if it has one),
// params, ratio, ratio_kind, calibration, seed, and the further axes of the experiment by name.
// Keys that do not apply to a cell are absent.
std::map<std::string, std::string> KeysOf(const ExperimentCell& cell);

// The cells of an experiment in its order, with the keys above. The method "dense" without
// transforms is the reference of relative values. A value exists once its stage has finished, even
// if a later stage of the run failed.
Measurement MeasurementOf(const ResultsStore& store, const ExperimentCell& cell);
std::vector<Measurement> MeasurementsOf(const ResultsStore& store, int64_t experiment_id);

}  // namespace condense
