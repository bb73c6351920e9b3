// runner table: the tables of an experiment from the database alone.
#include <iostream>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "experiment/spec/experiment_list.h"
#include "experiment/tables.h"
#include "report/tables/render.h"
#include "runner/command.h"

namespace condense {
namespace {

std::vector<Option> Options() {
  return {
      ExperimentOption(),
      ProfileOption(),
      StoredSetOption(),
      TextOption(
          "name", "NAME",
          "only this table: one of more_tables, or main for the first (default: all tables)"),
      ChoiceOption("format", "FORMAT", {"text", "md", "tex", "csv"},
                   "text (default), md, tex or csv"),
  };
}

std::string Shown(const Table& table, const std::string& format) {
  if (format == "md") return ToMarkdown(table);
  if (format == "tex") return ToLatex(table);
  if (format == "csv") return ToCsv(table);
  return ToText(table, TextStyle::kPlain);
}

std::vector<NamedTable> Chosen(std::vector<NamedTable> tables, const Arguments& arguments) {
  const auto wanted = arguments.OptionalText("name");
  if (!wanted) return tables;
  std::vector<std::string> names;
  for (const NamedTable& table : tables) {
    names.push_back(table.name.empty() ? "main" : table.name);
  }
  if (std::find(names.begin(), names.end(), *wanted) == names.end()) {
    throw MakeError<ConfigError>("--name: no table is called '{}'{}", *wanted,
                                 SuggestName(*wanted, names));
  }
  std::erase_if(tables, [&](const NamedTable& table) {
    return (table.name.empty() ? "main" : table.name) != *wanted;
  });
  return tables;
}

// CSV has the columns of one table.
void Print(const std::vector<NamedTable>& tables, const std::string& format) {
  bool first = true;
  size_t left_out = 0;
  for (const NamedTable& table : tables) {
    if (format == "csv" && (!first || table.published)) {
      ++left_out;
      continue;
    }
    std::cout << (first ? "" : "\n") << Shown(table.table, format);
    first = false;
  }
  if (left_out > 0) {
    LogWarning(
        "CSV holds one table, without published values; {} of {} tables were left out. --name NAME "
        "prints another one; --format md, tex and text print all",
        left_out, tables.size());
  }
}

int Run(const Arguments& arguments) {
  const std::string format = arguments.TextOr("format", "text");
  const std::vector<ExperimentSpec> specs =
      ReadExperiments({.file = FindExperimentFile(arguments.Text("experiment")),
                       .profile = arguments.TextOr("profile", ""),
                       .overrides = arguments.Texts("set")});
  const ResultsStore store = ResultsStore::Open(arguments.Database(), OpenMode::kRead);
  std::vector<NamedTable> tables;
  for (const ExperimentSpec& spec : specs) {
    if (!spec.has_table && specs.size() > 1) continue;  // a figure in a list
    if (!spec.has_table) {
      throw MakeError<ConfigError>("{}: has no table; runner figure draws its figure",
                                   spec.file.string());
    }
    for (NamedTable& table : ExperimentTablesOf(spec, store, StoredExperiment(spec, store).id)) {
      tables.push_back(std::move(table));
    }
  }
  Print(Chosen(std::move(tables), arguments), format);
  return 0;
}

}  // namespace

Command TableCommand() {
  return {.name = "table",
          .summary = "print the tables of an experiment from the database",
          .usage = "runner table EXPERIMENT.yaml [--name NAME] [--format text|md|tex|csv]",
          .details = "Computes nothing. Cells that failed or were not run are left empty.",
          .example = "runner table experiments/table1.yaml --format md",
          .options = Options(),
          .positional = {"experiment"},
          .run = Run};
}

}  // namespace condense
