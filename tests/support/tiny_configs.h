// A configuration folder for tests that run experiments: the bundled models and texts, with
// protocols and calibration sets so small that a cell takes a fraction of a second.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/shared_data.h"
#include "support/temp_folder.h"

namespace condense {

inline void WriteText(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// The program finds it through the environment while the object lives.
class TinyConfigs {
 public:
  TinyConfigs() {
    namespace fs = std::filesystem;
    const fs::path source = SourceFolder() / "configs", target = folder_.path() / "configs";
    fs::create_directories(target);
    fs::create_directory_symlink(source / "bundled", target / "bundled");
    fs::copy(source / "corpora", target / "corpora");
    fs::copy(source / "tasks", target / "tasks");
    for (const char* model : {"llama2-mini", "llama3-mini", "opt-mini", "llama-2-7b"}) {
      fs::create_directories(target / "models");
      fs::copy(source / "models" / (std::string(model) + ".yaml"), target / "models");
    }
    AddProtocol("tiny-64", "window: 64\nstride: 64\ntake_tokens: 640\n");
    AddProtocol("tiny-32", "window: 32\nstride: 32\ntake_tokens: 320\n");
    AddProtocol("tiny-2000", "window: 2000\nstride: 2000\n");
    AddCalibration("tiny-16x64", 16, 64);
    AddCalibration("tiny-8x64", 8, 64);
    ::setenv("CONDENSE_CONFIGS", target.c_str(), 1);
  }
  ~TinyConfigs() { ::unsetenv("CONDENSE_CONFIGS"); }

  const std::filesystem::path& folder() const { return folder_.path(); }

  // Writes an experiment and returns its path.
  std::filesystem::path Experiment(const std::string& name, const std::string& yaml) const {
    const std::filesystem::path path = folder_.path() / (name + ".yaml");
    WriteText(path, yaml);
    return path;
  }

 private:
  void AddProtocol(const std::string& name, const std::string& sizes) const {
    WriteText(
        folder_.path() / "configs/protocols" / (name + ".yaml"),
        "corpus: bundled-articles\nsplit: evaluation\njoin: \"\\n\\n\"\nspecial: once\n" + sizes);
  }
  void AddCalibration(const std::string& name, int samples, int length) const {
    WriteText(
        folder_.path() / "configs/calibration" / (name + ".yaml"),
        "corpus: bundled-articles\nsplit: calibration\nsampler: random-windows-nn\nsamples: " +
            std::to_string(samples) + "\nlength: " + std::to_string(length) +
            "\nseed: 0\njoin: \"\\n\\n\"\n");
  }

  TempFolder folder_;
};

}  // namespace condense
