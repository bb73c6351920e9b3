#include "runner/catalogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/strings.h"
#include "compression/compressor.h"
#include "config/paths.h"
#include "config/registry.h"
#include "data/calibration.h"
#include "data/protocols/windows.h"
#include "data/tasks/task_definition.h"
#include "experiment/inputs/model_download.h"
#include "experiment/inputs/model_place.h"
#include "experiment/spec/spec.h"
#include "experiment/stages/evaluator.h"
#include "experiment/stages/transform.h"

namespace condense {
namespace {

namespace fs = std::filesystem;

template <class Interface>
CatalogueKind Parts(std::string kind) {
  CatalogueKind parts{std::move(kind), {}};
  for (const auto* entry : Registry<Interface>::Instance().All()) {
    parts.entries.push_back({entry->name, entry->summary, entry->describe(), ""});
  }
  return parts;
}

// A broken file is listed with what is wrong with it.
template <class Summarise>
CatalogueKind Files(std::string kind, const char* folder, const Summarise& summarise) {
  CatalogueKind files{std::move(kind), {}};
  for (const std::string& name : ListConfigs(folder)) {
    CatalogueEntry entry{name, "", {}, NamedConfig(folder, name).string()};
    try {
      entry.summary = summarise(name, Node::ParseFile(entry.file));
    } catch (const Error& error) {
      entry.summary = Split(error.what(), '\n').front();
    }
    files.entries.push_back(std::move(entry));
  }
  return files;
}

std::string ModelSummary(const std::string& name, const Node& node,
                         const std::vector<fs::path>& roots) {
  const auto settings = ReadStruct<ModelSettings>(node);
  std::string summary =
      fmt::format("{}, {} parameters{}", settings.title,
                  settings.parameters ? GroupThousands(*settings.parameters) : "?",
                  settings.path.empty() ? "" : ", bundled");
  const auto get = DownloadCommand(name);
  if (!get) return summary;
  const ModelPlace place = LocateModel({name, {}, {}}, roots);
  return summary +
         (place.folder ? fmt::format(", in {}", place.folder->string()) : "; get it with: " + *get);
}

std::string ProtocolSummary(const std::string& name, const Node&) {
  const NamedProtocol protocol = LoadPerplexityProtocol(name);
  return fmt::format("perplexity on {} {}, {}", protocol.corpus(), protocol.split(),
                     protocol.Summary());
}

std::string CalibrationSummary(const std::string&, const Node& node) {
  const auto spec = ReadStruct<CalibrationSpec>(node.Only(FieldNames<CalibrationSpec>()));
  return fmt::format("{} {}, {} x {}, {}", spec.corpus, spec.split, spec.samples, spec.length,
                     spec.sampler);
}

std::string TaskSummary(const std::string& name, const Node&) {
  return ReadTaskSpec(name).description;
}

// The title with the profiles, and the description on a line of its own.
std::string ExperimentSummary(const Node& root) {
  const Node* title = root.Find("title");
  const Node* description = root.Find("description");
  const std::vector<std::string> profiles = ProfilesOf(root);
  std::string summary = title ? title->text() : "";
  if (!profiles.empty()) summary += fmt::format(" ({})", Join(profiles, ", "));
  if (description != nullptr) summary += "\n" + description->text();
  return summary;
}

CatalogueKind Experiments() {
  CatalogueKind kind{"experiments", {}};
  for (const auto& file : fs::directory_iterator(ExperimentsFolder())) {
    if (file.path().extension() != ".yaml") continue;
    CatalogueEntry entry{file.path().stem().string(), "", {}, file.path().string()};
    try {
      entry.summary = ExperimentSummary(Node::ParseFile(file.path()));
    } catch (const Error& error) {
      entry.summary = Split(error.what(), '\n').front();
    }
    kind.entries.push_back(std::move(entry));
  }
  std::sort(kind.entries.begin(), kind.entries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return kind;
}

}  // namespace

std::vector<CatalogueKind> Catalogue(const std::vector<fs::path>& model_roots) {
  const auto model_summary = [&](const std::string& name, const Node& node) {
    return ModelSummary(name, node, model_roots);
  };
  std::vector<CatalogueKind> kinds = {Parts<Compressor>("methods"),
                                      Parts<Allocator>("allocators"),
                                      Parts<CalibrationSampler>("samplers"),
                                      Files("models", "models", model_summary),
                                      Files("protocols", "protocols", ProtocolSummary),
                                      Parts<Transform>("transforms"),
                                      Parts<Evaluator>("evaluations"),
                                      Files("tasks", "tasks", TaskSummary),
                                      Files("calibrations", "calibration", CalibrationSummary),
                                      Experiments()};
  std::erase_if(kinds, [](const CatalogueKind& kind) {
    return kind.name == "transforms" && kind.entries.empty();
  });
  return kinds;
}

}  // namespace condense
