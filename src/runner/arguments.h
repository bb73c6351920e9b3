// The options of one command, read strictly: unknown options are refused with the nearest name, and
// abbreviations are not guessed.
#pragma once

#include <boost/program_options.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "experiment/inputs/inputs.h"
#include "tensor/tensor.h"

namespace condense {

class Arguments {
 public:
  // `usage` is printed where something is missing.
  Arguments(boost::program_options::variables_map values, std::string usage)
      : values_(std::move(values)), usage_(std::move(usage)) {}

  bool Has(const std::string& name) const { return values_.count(name) > 0; }
  bool Flag(const std::string& name) const { return values_[name].as<bool>(); }
  // ConfigError when the option is absent or empty.
  const std::string& Text(const std::string& name) const;
  const std::string& RawText(const std::string& name) const;  // may be empty
  std::string TextOr(const std::string& name, const std::string& otherwise) const;
  std::optional<std::string> OptionalText(const std::string& name) const;
  std::vector<std::string> Texts(const std::string& name) const;
  double Number(const std::string& name) const;
  std::optional<int64_t> Integer(const std::string& name) const;

  // --- Options that every command has ---
  std::vector<std::filesystem::path> ModelRoots() const;  // --models
  DataRoots Data() const;                                 // --data
  std::filesystem::path Database() const;                 // --db
  int Threads() const;
  std::string DeviceName() const;

 private:
  void Require(const std::string& name) const;

  boost::program_options::variables_map values_;
  std::string usage_;
};

// --- Shared by several commands ---

std::filesystem::path ModelFolder(const Arguments& arguments);
// ConfigError if --ids-type was given with anything but a raw file of ids.
void RefuseIdleIdsType(const Arguments& arguments, const std::string& ids_file);
// ConfigError naming `options` unless exactly one of them was given.
void RequireOneOf(const Arguments& arguments, const std::vector<std::string>& options);
// Sets up LibTorch by --threads and opens --device.
Device OpenComputeDevice(const Arguments& arguments);

}  // namespace condense
