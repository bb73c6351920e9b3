// From the results database to measurements that a table can show.
#pragma once

#include <vector>

#include "report/tables/table.h"
#include "results/results_store.h"

namespace condense {

// The cells of an experiment in its order. Keys: model, dtype, method (the experiment's label, if
// it has one), params, ratio, ratio_kind, calibration, seed; those that do not apply are absent.
// The method "dense" is what relative values refer to. A value is there if its stage was finished,
// whatever became of the rest of the run.
Measurement MeasurementOf(const ResultsStore& store, const ExperimentCell& cell);
std::vector<Measurement> MeasurementsOf(const ResultsStore& store, int64_t experiment_id);

}  // namespace condense
