#include "experiment/inputs/inputs.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/sha256.h"
#include "config/paths.h"
#include "data/calibration.h"
#include "data/protocols/windows.h"
#include "data/tasks/task_definition.h"
#include "data/tasks/task_files.h"
#include "model/stored/stored_files.h"

namespace condense {
namespace fs = std::filesystem;

const Input* InputResolver::Remember(Cache& cache, const std::string& name,
                                     const std::function<Input()>& make) {
  auto found = cache.find(name);
  if (found == cache.end()) {
    std::optional<Input> input;
    try {
      input = make();
      input->name = name;
    } catch (const Error& error) {
      if (std::find(missing_.begin(), missing_.end(), error.what()) == missing_.end()) {
        missing_.emplace_back(error.what());
      }
    }
    found = cache.emplace(name, std::move(input)).first;
  }
  return found->second ? &*found->second : nullptr;
}

const Input* InputResolver::Model(const ModelRef& model) {
  return Remember(models_, model.name, [&] { return ReadModel(model); });
}

const Input* InputResolver::Calibration(const std::string& name) {
  return Remember(calibrations_, name, [&] { return ReadCalibration(name); });
}

const Input* InputResolver::Protocol(const std::string& id) {
  return Remember(protocols_, id, [&] { return ReadProtocol(id); });
}

const Input* InputResolver::Task(const std::string& name) {
  return Remember(tasks_, name, [&] { return ReadTask(name); });
}

const ModelPlace& InputResolver::Place(const ModelRef& model) {
  const auto found = places_.find(model.name);
  if (found != places_.end()) return found->second;
  return places_.emplace(model.name, LocateModel(model, roots_.models)).first->second;
}

std::string InputResolver::FilesDigest(const char* kind, const std::vector<fs::path>& files,
                                       Input& into) {
  Sha256 hash;
  for (const fs::path& file : files) {
    const std::string digest = digest_(file);
    const std::string name = file.filename().string();
    into.records.push_back(
        {kind, name, digest, static_cast<int64_t>(std::filesystem::file_size(file))});
    hash.Update(fmt::format("{} {}\n", digest, name));
  }
  return hash.Finish();
}

Input InputResolver::ReadModel(const ModelRef& model) {
  const ModelPlace& place = Place(model);
  if (!place.folder) throw ConfigError(MissingModelText(place));
  Input input;
  const StoredFiles files = FilesOf(*place.folder);
  const std::string weights = FilesDigest("weights", files.weights, input);
  const std::string config = FilesDigest("config", files.config, input);
  const std::string tokenizer = FilesDigest("tokenizer", files.tokenizer, input);
  input.canonical = fmt::format(R"({{"name":{},"weights":"{}","config":"{}","tokenizer":"{}"}})",
                                JsonString(model.name), weights, config, tokenizer);
  return input;
}

std::string InputResolver::CorpusDigest(const std::string& corpus, const std::string& split,
                                        Input& into) {
  const auto spec = ReadStruct<CorpusSpec>(Node::ParseFile(NamedConfig("corpora", corpus)));
  const std::string files =
      FilesDigest("data", FindCorpusFiles(spec, corpus, split, roots_.data), into);
  return Sha256Hex(files + CanonicalText(spec));
}

Input InputResolver::ReadCalibration(const std::string& name) {
  const Node tree = Node::ParseFile(NamedConfig("calibration", name));
  // Keys beyond these fields are options of the sampler.
  const auto spec = ReadStruct<CalibrationSpec>(tree.Only(FieldNames<CalibrationSpec>()));
  const int version = Registry<CalibrationSampler>::Instance().Get(spec.sampler).version;
  Input input;
  const std::string corpus = CorpusDigest(spec.corpus, spec.split, input);
  input.canonical = fmt::format(R"({{"name":{},"settings":{},"sampler_version":{},"corpus":"{}"}})",
                                JsonString(name), CanonicalText(tree), version, corpus);
  return input;
}

Input InputResolver::ReadProtocol(const std::string& id) {
  const NamedProtocol named = LoadPerplexityProtocol(id);
  Input input;
  const std::string corpus = CorpusDigest(named.corpus(), named.split(), input);
  input.canonical =
      fmt::format(R"({{"id":{},"params":{},"corpus":"{}"}})", JsonString(id), named.params, corpus);
  return input;
}

Input InputResolver::ReadTask(const std::string& name) {
  const TaskSpec spec = ReadTaskSpec(name);
  Input input;
  const std::string files = FilesDigest("task", TaskFiles(spec, name, roots_.data), input);
  input.canonical = fmt::format(R"({{"task":{},"definition":"{}","files":"{}"}})", JsonString(name),
                                DefinitionSha256(spec), files);
  return input;
}

}  // namespace condense
