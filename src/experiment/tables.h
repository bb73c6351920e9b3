// The table of an experiment, from the database alone.
#pragma once

#include <filesystem>
#include <string>

#include "experiment/spec.h"
#include "report/table.h"
#include "results/results_store.h"

namespace condense {

// The stored experiment that a spec describes: the one of the same text, else the last one of that
// name and profile. ConfigError when it was never run.
ExperimentRecord StoredExperiment(const ExperimentSpec& spec, const ResultsStore& store);

// Cells whose real ratio is further from the requested one than the tolerance carry a footnote.
Table ExperimentTableOf(const ExperimentSpec& spec, const ResultsStore& store, int64_t experiment);

// <folder>/<name>.md, .tex and .csv.
void WriteTables(const Table& table, const std::filesystem::path& folder, const std::string& name);

}  // namespace condense
