// runner list: everything that has a name, by kind.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "base/error.h"
#include "base/strings.h"
#include "runner/catalogue.h"
#include "runner/command.h"

namespace condense {
namespace {

std::vector<Option> Options() {
  return {TextOption("kind", "KIND",
                     "methods, allocators, samplers, models, protocols, evaluations, tasks, "
                     "calibrations or experiments",
                     {.words = {"methods", "allocators", "samplers", "models", "protocols",
                                "evaluations", "tasks", "calibrations", "experiments"}})};
}

void Print(const CatalogueKind& kind, const std::string& indent) {
  size_t width = 0;
  for (const CatalogueEntry& entry : kind.entries) width = std::max(width, entry.name.size());
  for (const CatalogueEntry& entry : kind.entries) {
    const std::vector<std::string> lines = Split(entry.summary, '\n');
    for (size_t i = 0; i < lines.size(); ++i) {
      std::cout << fmt::format("{}{:<{}}  {}\n", indent, i == 0 ? entry.name : "", width, lines[i]);
    }
  }
}

int Run(const Arguments& arguments) {
  const std::vector<CatalogueKind> catalogue = Catalogue(arguments.ModelRoots());
  const auto wanted = arguments.OptionalText("kind");
  if (!wanted) {
    for (const CatalogueKind& kind : catalogue) {
      std::cout << kind.name << ":\n";
      Print(kind, "  ");
    }
    return 0;
  }
  std::vector<std::string> names;
  for (const CatalogueKind& kind : catalogue) {
    if (kind.name == *wanted) {
      Print(kind, "");
      return 0;
    }
    names.push_back(kind.name);
  }
  throw MakeError<ConfigError>("nothing is called '{}'{}", *wanted, SuggestName(*wanted, names));
}

}  // namespace

Command ListCommand() {
  return {.name = "list",
          .summary = "print the names of methods, models, protocols, ...",
          .usage =
              "runner list [methods|allocators|samplers|models|protocols|evaluations|tasks|"
              "calibrations|experiments]",
          .details =
              "Prints one name per line with a summary. An experiment has a second line with its\n"
              "description.",
          .example = "runner list methods",
          .options = Options(),
          .positional = {"kind"},
          .run = Run};
}

}  // namespace condense
