// runner describe: the options of a part of the program, or the file behind a name.
#include <fmt/format.h>

#include <iostream>

#include "base/error.h"
#include "base/file.h"
#include "base/strings.h"
#include "runner/catalogue.h"
#include "runner/command.h"

namespace condense {
namespace {

void PrintOption(const FieldHelp& option) {
  std::string line = fmt::format("  {}: {}", option.name, option.type);
  if (!option.allowed.empty()) line += fmt::format(", {}", option.allowed);
  line += option.required ? ", required" : fmt::format(", default {}", option.default_value);
  std::cout << line << "\n      " << option.help << "\n";
}

void Print(const CatalogueKind& kind, const CatalogueEntry& entry) {
  std::cout << fmt::format("{} ({}): {}\n", entry.name, kind.name, entry.summary);
  if (!entry.file.empty()) {
    std::cout << entry.file << "\n\n" << ReadFile(entry.file);
    return;
  }
  std::cout << (entry.options.empty() ? "no options\n" : "options:\n");
  for (const FieldHelp& option : entry.options) PrintOption(option);
}

int Run(const Arguments& arguments) {
  const std::string& name = arguments.Text("name");
  std::vector<std::string> known;
  bool found = false;
  for (const CatalogueKind& kind : Catalogue(arguments.ModelRoots())) {
    for (const CatalogueEntry& entry : kind.entries) {
      known.push_back(entry.name);
      if (entry.name != name) continue;
      if (found) std::cout << "\n";
      found = true;
      Print(kind, entry);
    }
  }
  if (found) return 0;
  const auto nearest = NearestName(name, known);
  throw MakeError<ConfigError>(
      "nothing is called '{}'{}", name,
      nearest ? fmt::format("; did you mean '{}'?", *nearest) : "; runner list prints every name");
}

}  // namespace

Command DescribeCommand() {
  return {.name = "describe",
          .summary = "print the options of a method or allocator, or the file behind a name",
          .usage = "runner describe NAME",
          .details =
              "Options are set in an experiment, as in {use: NAME, OPTION: VALUE}, or by --set\n"
              "OPTION=VALUE on the command line.",
          .example = "runner describe modegpt",
          .options = {TextOption("name", "NAME", "a name that `runner list` prints",
                                 {.listed = {"methods", "allocators"}})},
          .positional = {"name"},
          .run = Run};
}

}  // namespace condense
