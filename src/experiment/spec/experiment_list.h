// A file that lists experiments, to be run one after the other by one command:
//
//   title: Everything
//   experiments: [table1, table2]     # names of experiments/, or files beside this one
//
// Cells that several of them share are computed once, as always. A list has no profiles of its own:
// --profile goes to each of its experiments.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiment/spec/spec.h"

namespace condense {

bool IsExperimentList(const Node& root);

struct ExperimentList {
  std::string title, description;
  std::vector<std::filesystem::path> files;  // in the order of the list, each once
};

// ConfigError with every problem of the list, such as a name that no experiment has.
ExperimentList ReadExperimentList(const std::filesystem::path& file);

// The experiment of a file, or all of a list. ConfigError for the first of them that is wrong, and
// for overrides of a list: they change one experiment.
std::vector<ExperimentSpec> ReadExperiments(const SpecSource& source);

}  // namespace condense
