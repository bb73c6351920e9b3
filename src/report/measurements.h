// From the results database to measurements that a table can show.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "report/tables/table.h"
#include "results/results_store.h"

namespace condense {

// What tells cells apart: model, dtype, method (the experiment's label, if it has one), params,
// ratio, ratio_kind, calibration, seed, and the further axes of the experiment by name. Keys that do
// not apply to a cell are absent.
std::map<std::string, std::string> KeysOf(const ExperimentCell& cell);

// The cells of an experiment in its order, with the keys above. Relative values refer to the method
// "dense" without transforms. A value is there if its stage was finished, whatever became of the
// rest of the run.
Measurement MeasurementOf(const ResultsStore& store, const ExperimentCell& cell);
std::vector<Measurement> MeasurementsOf(const ResultsStore& store, int64_t experiment_id);

}  // namespace condense
