#include "experiment/spec/experiment_list.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace condense {
namespace fs = std::filesystem;
namespace {

struct ListFields {
  std::string title, description;
  std::vector<Node> experiments;

  template <class V>
  void Fields(V&& field) {
    field("title", title, "what the experiments have in common", Required{}, NonEmpty{});
    field("description", description, "what they have in common, in a sentence", NonEmpty{});
    field("experiments", experiments, "names of experiments, or files", Required{}, NonEmpty{});
  }
};

// A file beside the list, else an experiment by its name.
fs::path FileOf(const Node& entry, const fs::path& list) {
  const fs::path beside = list.parent_path() / entry.text();
  std::error_code ignored;
  for (const fs::path& file : {beside, fs::path(beside.string() + ".yaml")}) {
    if (fs::is_regular_file(file, ignored)) return file;
  }
  return FindExperimentFile(entry.text());
}

void AddEntry(const Node& entry, const fs::path& list, ExperimentList& into, Problems& problems) {
  if (!entry.IsScalar()) return AddExpected(entry, "the name of an experiment", problems);
  try {
    const fs::path file = FileOf(entry, list);
    if (std::find(into.files.begin(), into.files.end(), file) != into.files.end()) {
      problems.Add(entry, fmt::format("{} is listed twice", entry.Describe()));
    } else if (IsExperimentList(Node::ParseFile(file))) {
      problems.Add(entry, "is itself a list of experiments; name its experiments instead");
    }
    into.files.push_back(file);
  } catch (const Error& error) {
    problems.Add(entry, error.what());
  }
}

}  // namespace

bool IsExperimentList(const Node& root) { return root.Find("experiments") != nullptr; }

ExperimentList ReadExperimentList(const fs::path& file) {
  const Node root = Node::ParseFile(file);
  ListFields fields;
  Problems problems;
  ReadFields(root, fields, problems);
  ExperimentList list{fields.title, fields.description, {}};
  if (problems.empty()) {
    for (const Node& entry : fields.experiments) AddEntry(entry, file, list, problems);
  }
  problems.ThrowIfAny();
  return list;
}

std::vector<ExperimentSpec> ReadExperiments(const SpecSource& source) {
  if (!IsExperimentList(Node::ParseFile(source.file))) return {ReadExperiment(source)};
  if (!source.overrides.empty()) {
    throw MakeError<ConfigError>(
        "--set {}: {} is a list of experiments; --set changes a single one, so run that one itself",
        source.overrides.front(), source.file.string());
  }
  std::vector<ExperimentSpec> specs;
  for (const fs::path& file : ReadExperimentList(source.file).files) {
    specs.push_back(ReadExperiment({file, source.profile, {}}));
  }
  return specs;
}

}  // namespace condense
