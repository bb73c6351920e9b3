// The tables of an experiment, from the database alone.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "experiment/spec/spec.h"
#include "report/tables/table.h"
#include "results/results_store.h"

namespace condense {

// The stored experiment that a spec describes: the one of the same text, else the last one of that
// name and profile. ConfigError when it was never run.
ExperimentRecord StoredExperiment(const ExperimentSpec& spec, const ResultsStore& store);

// Its cells with what it asks for: a cell that it shares with another experiment may have more.
// Everything if the spec has changed since it was run.
std::vector<Measurement> ExperimentMeasurements(const ExperimentSpec& spec,
                                                const ResultsStore& store, int64_t experiment);

// What reports print instead of the names of the experiment's models.
std::map<std::string, std::string> ModelTitles(const ExperimentSpec& spec);

// Cells whose real ratio is further from the requested one than the tolerance carry a footnote.
Table ExperimentTableOf(const ExperimentSpec& spec, const ResultsStore& store, int64_t experiment);

struct NamedTable {
  std::string name;  // "" for the main table, then the names under more_tables
  Table table;
  bool published = false;  // values of papers beside ours; has its main table's name

  // The name that its files have: "table1", "table1-seconds", "table1-seconds-published".
  std::string FileName(const std::string& experiment) const;
};

// The main table, the further ones, and behind each the published values beside ours, if it asks
// for them and there are any.
std::vector<NamedTable> ExperimentTablesOf(const ExperimentSpec& spec, const ResultsStore& store,
                                           int64_t experiment);

// <folder>/<name>.md, .tex and .csv.
void WriteTables(const Table& table, const std::filesystem::path& folder, const std::string& name);

}  // namespace condense
