// Everything that can be named on the command line or in an experiment, with a line about each.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/fields.h"

namespace condense {

struct CatalogueEntry {
  std::string name;
  std::string summary;             // one line
  std::vector<FieldHelp> options;  // of parts of the program
  std::string file;                // of what is described by one
};

struct CatalogueKind {
  std::string name;  // "methods"
  std::vector<CatalogueEntry> entries;
};

// methods, allocators, samplers, models, protocols, evaluations, tasks, calibrations, experiments;
// names sorted. model_roots: where models are looked for, to say how to get those that are absent.
std::vector<CatalogueKind> Catalogue(const std::vector<std::filesystem::path>& model_roots);

}  // namespace condense
