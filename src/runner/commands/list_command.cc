// runner list: what can be named, kind by kind.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "base/error.h"
#include "base/strings.h"
#include "runner/catalogue.h"
#include "runner/command.h"

namespace condense {
namespace {

namespace po = boost::program_options;

void AddOptions(po::options_description& options) {
  options.add_options()(
      "kind", po::value<std::string>()->value_name("KIND"),
      "methods, allocators, samplers, models, protocols, evaluations, tasks, calibrations or "
      "experiments");
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
  const std::vector<CatalogueKind> catalogue = Catalogue();
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

const Command kListCommand{
    .name = "list",
    .summary = "the methods, models, protocols, ... that can be named",
    .usage =
        "runner list [methods|allocators|samplers|models|protocols|evaluations|tasks|calibrations|"
        "experiments]",
    .details =
        "Prints a name and a summary a line; an experiment has its description on a second one.",
    .example = "runner list methods",
    .add_options = AddOptions,
    .positional = {"kind"},
    .run = Run};

}  // namespace condense
