#include "experiment/spec/spec.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "config/paths.h"

namespace condense {
namespace fs = std::filesystem;
namespace {

const Node& KeyOrRoot(const Node& root, std::string_view key) {
  const Node* found = root.Find(key);
  return found == nullptr ? root : *found;
}

// The tree without `profiles`, with the chosen one merged over it.
Node ApplyProfile(const Node& root, const std::string& wanted, std::string& chosen) {
  const std::vector<std::string> known = ProfilesOf(root);
  if (known.empty()) {
    if (wanted.empty()) return root;
    throw MakeError<ConfigError>("{}: the file has no profiles, but --profile {} was given",
                                 root.where().file, wanted);
  }
  const auto has = [&](const std::string& name) {
    return std::find(known.begin(), known.end(), name) != known.end();
  };
  chosen = !wanted.empty() ? wanted : has("bundled") ? "bundled" : known.front();
  if (!has(chosen)) {
    throw MakeError<ConfigError>("{}: unknown profile '{}'{}",
                                 root.Find("profiles")->where().Text(), chosen,
                                 SuggestName(chosen, known));
  }
  return Node::Merged(root.Without({"profiles"}), *root.Find("profiles")->Find(chosen));
}

void CheckWhole(const Node& root, const ExperimentSpec& spec, Problems& problems) {
  RefuseRepeated(
      root, "models", spec.models, [](const ModelRef& model) { return model.name; }, problems);
  RefuseRepeated(root, "calibration", spec.calibration, problems);
  RefuseRepeated(
      root, "ratios", spec.ratios, [](double r) { return JsonNumber(r); }, problems);
  RefuseRepeated(
      root, "seeds", spec.seeds, [](uint64_t s) { return std::to_string(s); }, problems);
  if (spec.evaluators.empty()) {
    problems.Add(root, fmt::format("nothing is measured; expected one of the keys {}",
                                   Join(EvaluatorKeys(), ", ")));
  }
  for (const MethodSpec& method : spec.methods) {
    if (method.uses_ratio && spec.ratios.empty() && method.ratios.empty()) {
      problems.Add(KeyOrRoot(root, "ratios"),
                   fmt::format("method '{}' needs ratios: [0.1, ...]", method.label));
    }
    if (method.uses_calibration && spec.calibration.empty()) {
      problems.Add(KeyOrRoot(root, "calibration"),
                   fmt::format("method '{}' needs a calibration set, such as calibration: [{}]",
                               method.label, "bundled-128x256"));
    }
  }
}

// The labels that a table is limited to, and the names of further tables.
void CheckTables(const Node& root, const ExperimentSpec& spec, Problems& problems) {
  std::vector<std::string> labels;
  for (const MethodSpec& method : spec.methods) labels.push_back(method.label);
  const auto check_methods = [&](const Node& table, const ExperimentTable& entry) {
    for (size_t i = 0; i < entry.methods.size(); ++i) {
      if (std::find(labels.begin(), labels.end(), entry.methods[i]) != labels.end()) continue;
      problems.Add(table.Find("methods")->items()[i],
                   fmt::format("no method is labelled '{}'{}", entry.methods[i],
                               SuggestName(entry.methods[i], labels)));
    }
  };
  if (const Node* table = root.Find("table")) {
    check_methods(*table, spec.table_entry);
  } else if (const Node* more = root.Find("more_tables")) {
    problems.Add(*more, "more_tables needs a table beside it");
  }
  for (const auto& [name, entry] : spec.more_tables) {
    const Node& table = *root.Find("more_tables")->Find(name);
    check_methods(table, entry);
    const bool plain =
        name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
    if (!plain || name.empty() || name == "published") {
      problems.Add(table, fmt::format("'{}' becomes part of a file name: use small letters, "
                                      "digits and _, and not 'published'",
                                      name));
    }
    if (entry.title.empty()) problems.Add(table, "a further table needs a title");
  }
}

// The transforms of the experiment, and those that only methods name.
std::vector<TransformAxis> ReadAllTransforms(const Node& root,
                                             const std::vector<MethodSpec>& methods,
                                             Problems& problems) {
  std::vector<TransformAxis> axes = ReadTransforms(root, problems);
  for (const MethodSpec& method : methods) {
    for (const TransformAxis& own : method.transforms) {
      const auto same = [&](const TransformAxis& axis) { return axis.name == own.name; };
      if (std::any_of(axes.begin(), axes.end(), same)) continue;
      axes.push_back({own.name, {{kAxisOff, {}}}});
    }
  }
  return axes;
}

std::vector<AblationSpec> ReadAblations(const std::vector<Node>& entries, Problems& problems) {
  std::vector<AblationSpec> ablations;
  for (const Node& entry : entries) {
    AblationSpec ablation;
    const size_t before = problems.count();
    ReadFields(entry, ablation, problems);
    ablation.where = entry.where();
    if (problems.count() == before) ablations.push_back(std::move(ablation));
  }
  return ablations;
}

}  // namespace

std::vector<std::string> ProfilesOf(const Node& root) {
  std::vector<std::string> names;
  const Node* profiles = root.Find("profiles");
  if (profiles == nullptr) return names;
  Problems problems;
  if (!profiles->IsMap()) {
    AddExpected(*profiles, "a map of profile names to the keys they change", problems);
  }
  for (const auto& [name, profile] : profiles->entries()) {
    if (!profile.IsMap()) AddExpected(profile, "a map of keys to change", problems);
    names.push_back(name);
  }
  problems.ThrowIfAny();
  return names;
}

ExperimentSpec ReadExperiment(const SpecSource& source) {
  ExperimentSpec spec;
  spec.file = source.file;
  spec.name = source.file.stem().string();
  Node root = ApplyProfile(Node::ParseFile(source.file), source.profile, spec.profile);
  spec.overridden = !source.overrides.empty();
  ApplyOverrides(root, source.overrides);

  Problems problems;
  ReadFields(root.Without(EvaluatorKeys()).Without(TransformKeys()), spec, problems);
  spec.has_table = root.Find("table") != nullptr;
  if (!spec.has_table && root.Find("figure") == nullptr) {
    problems.Add(root, "missing key 'table' or 'figure': nothing would be shown");
  }
  spec.evaluators = ReadEvaluators(root, problems);
  const std::vector<AblationSpec> ablations = ReadAblations(spec.ablation_entries, problems);
  spec.methods = ReadMethods(spec.method_entries, ablations, problems);
  spec.transforms = ReadAllTransforms(root, spec.methods, problems);
  if (problems.empty()) CheckWhole(root, spec, problems);
  if (problems.empty()) CheckTables(root, spec, problems);
  problems.ThrowIfAny();
  if (spec.has_table) spec.table = TableSpecOf(spec.table_entry, spec.title);
  if (spec.figure_entry) spec.figure = FigureSpecOf(*spec.figure_entry, spec.title);
  spec.canonical = CanonicalText(root);
  return spec;
}

namespace {

std::vector<std::string> ExperimentNames() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(ExperimentsFolder())) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

fs::path FindExperimentFile(const std::string& file_or_name) {
  std::error_code ignored;
  if (fs::is_regular_file(file_or_name, ignored)) return file_or_name;
  const std::vector<std::string> known = ExperimentNames();
  if (EndsWith(file_or_name, ".yaml") || file_or_name.find('/') != std::string::npos) {
    const auto nearest = NearestName(fs::path(file_or_name).stem().string(), known);
    throw MakeError<DataError>("{}: no such experiment file{}", file_or_name,
                               nearest ? fmt::format("; did you mean '{}'?", *nearest) : "");
  }
  if (std::find(known.begin(), known.end(), file_or_name) != known.end()) {
    return ExperimentsFolder() / (file_or_name + ".yaml");
  }
  throw MakeError<ConfigError>("'{}' is neither an experiment file nor the name of one{}",
                               file_or_name, SuggestName(file_or_name, known));
}

}  // namespace condense
