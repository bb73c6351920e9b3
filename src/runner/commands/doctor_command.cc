// runner doctor: checks the installation.
#include <fmt/format.h>

#include <functional>
#include <iostream>

#include "base/error.h"
#include "base/file.h"
#include "base/strings.h"
#include "base/system.h"
#include "config/paths.h"
#include "experiment/inputs/model_place.h"
#include "experiment/run/environment.h"
#include "model/stored/stored_model.h"
#include "report/figures/figure_gnuplot.h"
#include "results/results_store.h"
#include "runner/command.h"
#include "tensor/openmp_wait.h"

namespace condense {
namespace {

namespace fs = std::filesystem;

class Checks {
 public:
  void Require(const char* what, const std::function<std::string()>& look) {
    Print(what, look, "PROBLEM", true);
  }
  // Something that only some uses need.
  void Note(const char* what, const std::function<std::string()>& look) {
    Print(what, look, "absent", false);
  }
  int problems() const { return problems_; }

 private:
  void Print(const char* what, const std::function<std::string()>& look, const char* word,
             bool counts) {
    try {
      std::cout << fmt::format("ok       {:<12} {}\n", what, look());
    } catch (const Error& error) {
      std::cout << fmt::format("{:<8} {:<12} {}\n", word, what, error.what());
      problems_ += counts;
    }
  }
  int problems_ = 0;
};

std::string BundledModels() {
  std::vector<std::string> names;
  for (const std::string& name : ListConfigs("models")) {
    const auto settings = ReadStruct<ModelSettings>(Node::ParseFile(NamedConfig("models", name)));
    if (settings.path.empty()) continue;
    StoredModel(ConfigFolder() / settings.path, {}, Residence::kStreamed);
    names.push_back(name);
  }
  if (names.empty()) throw DataError("configs/models names no bundled model");
  return Join(names, ", ");
}

std::string OtherModels(const Arguments& arguments) {
  std::vector<std::string> found;
  for (const std::string& name : ListConfigs("models")) {
    const ModelPlace place = LocateModel({name, {}, {}}, arguments.ModelRoots());
    if (place.folder && !StartsWith(place.folder->string(), ConfigFolder().string())) {
      found.push_back(name);
    }
  }
  if (found.empty()) throw DataError("none found; name their folder with --models DIR");
  return Join(found, ", ");
}

std::string DatabaseState(const fs::path& path) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (!fs::exists(path)) {
    return fmt::format("{} (the first experiment creates it)", path.string());
  }
  RequireWritable(folder);
  const ResultsStore store = ResultsStore::Open(path, OpenMode::kRead);
  return fmt::format("{}, {} experiments", path.string(), store.ListExperiments().size());
}

int Run(const Arguments& arguments) {
  ConfigureTorch(arguments.Threads());
  const Revision revision = BuiltRevision();
  Checks checks;
  checks.Require("program", [&] {
    return fmt::format("condense {}, commit {}{}", CONDENSE_VERSION, revision.commit,
                       revision.dirty ? " with changes" : "");
  });
  checks.Require("LibTorch", [] {
    return fmt::format("{}, {} threads, {}", TorchVersion(), TorchThreads(), OpenMpWaiting());
  });
  checks.Require("machine", [] {
    return fmt::format("{}, {} cores, {}", CpuModel(), PhysicalCores(), HumanBytes(MemoryBytes()));
  });
  checks.Note("GPU", [] { return OpenDevice("cuda").str(); });
  checks.Require("configs", [] { return ConfigFolder().string(); });
  checks.Require("experiments", [] { return ExperimentsFolder().string(); });
  checks.Require("models", BundledModels);
  checks.Note("more models", [&] { return OtherModels(arguments); });
  checks.Note("figures", [] { return GnuplotVersion(); });
  checks.Require("database", [&] { return DatabaseState(arguments.Database()); });
  if (checks.problems() == 0) return 0;
  std::cout << fmt::format("{} problem{}\n", checks.problems(), checks.problems() == 1 ? "" : "s");
  return 1;
}

}  // namespace

Command DoctorCommand() {
  return {
      .name = "doctor",
      .summary = "check the installation",
      .usage = "runner doctor [--models DIR]",
      .details =
          "Prints one line per check: ok, absent (only some uses need it) or PROBLEM. The exit\n"
          "code is 1 if there is a problem.",
      .example = "runner doctor",
      .run = Run};
}

}  // namespace condense
