// What goes into the cells of an experiment, by digest: weights, tokenizers, corpora, and the
// settings of calibration sets and protocols. Found and hashed without loading a model or reading a
// text twice.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/text/corpus.h"
#include "experiment/inputs/model_place.h"
#include "results/records.h"

namespace condense {

// Where the user's files are looked for.
struct InputRoots {
  std::vector<std::filesystem::path> models;  // --models
  DataRoots data;                             // --data, and what the program brings along
};

using FileDigester = std::function<std::string(const std::filesystem::path&)>;

// A model, calibration set or evaluated text as it enters fingerprints.
struct Input {
  std::string name;
  std::string canonical;             // JSON with digests; equal text means equal input
  std::vector<InputRecord> records;  // what is stored beside a cell
};

class InputResolver {
 public:
  InputResolver(InputRoots roots, FileDigester digest)
      : roots_(std::move(roots)), digest_(std::move(digest)) {}

  const InputRoots& roots() const { return roots_; }

  // Null when something is missing; missing() then says what. Found once each.
  const Input* Model(const ModelRef& model);
  const Input* Calibration(const std::string& name);
  const Input* Protocol(const std::string& id);
  const Input* Task(const std::string& name);

  const ModelPlace& Place(const ModelRef& model);
  const std::vector<std::string>& missing() const { return missing_; }

 private:
  using Cache = std::map<std::string, std::optional<Input>>;
  const Input* Remember(Cache& cache, const std::string& name, const std::function<Input()>& make);
  Input ReadModel(const ModelRef& model);
  Input ReadCalibration(const std::string& name);
  Input ReadProtocol(const std::string& id);
  Input ReadTask(const std::string& name);
  // Digest of the corpus's files and of how they are read; adds a record for each file.
  std::string CorpusDigest(const std::string& corpus, const std::string& split, Input& into);
  std::string FilesDigest(const char* kind, const std::vector<std::filesystem::path>& files,
                          Input& into);

  InputRoots roots_;
  FileDigester digest_;
  Cache models_, calibrations_, protocols_, tasks_;
  std::map<std::string, ModelPlace> places_;
  std::vector<std::string> missing_;
};

}  // namespace condense
