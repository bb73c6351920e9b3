#include "runner/arguments.h"

#include "base/error.h"
#include "base/strings.h"
#include "experiment/inputs/model_download.h"
#include "experiment/inputs/model_place.h"

namespace condense {
namespace fs = std::filesystem;

void Arguments::Require(const std::string& name) const {
  if (!Has(name)) throw MakeError<ConfigError>("--{} is missing; usage: {}", name, usage_);
}

const std::string& Arguments::RawText(const std::string& name) const {
  Require(name);
  return values_[name].as<std::string>();
}

const std::string& Arguments::Text(const std::string& name) const {
  const std::string& text = RawText(name);
  if (text.empty()) throw MakeError<ConfigError>("--{} is empty; usage: {}", name, usage_);
  return text;
}

std::string Arguments::TextOr(const std::string& name, const std::string& otherwise) const {
  return Has(name) ? Text(name) : otherwise;
}

std::optional<std::string> Arguments::OptionalText(const std::string& name) const {
  if (!Has(name)) return std::nullopt;
  return Text(name);
}

std::vector<std::string> Arguments::Texts(const std::string& name) const {
  if (!Has(name)) return {};
  return values_[name].as<std::vector<std::string>>();
}

double Arguments::Number(const std::string& name) const {
  Require(name);
  return values_[name].as<double>();
}

std::optional<int64_t> Arguments::Integer(const std::string& name) const {
  if (!Has(name)) return std::nullopt;
  return values_[name].as<int64_t>();
}

std::vector<fs::path> Arguments::ModelRoots() const {
  const std::vector<std::string> texts = Texts("models");
  if (texts.empty()) return DefaultModelRoots();
  return {texts.begin(), texts.end()};
}

DataRoots Arguments::Data() const {
  const std::vector<std::string> texts = Texts("data");
  return DataRoots::Default({texts.begin(), texts.end()});
}

fs::path Arguments::Database() const { return TextOr("db", "results/results.sqlite"); }

int Arguments::Threads() const {
  const int64_t threads = Integer("threads").value_or(0);
  if (threads < 0 || threads > 4096) {
    throw MakeError<ConfigError>("--threads {}: expected 1 to 4096, or 0 for one per core",
                                 threads);
  }
  return static_cast<int>(threads);
}

std::string Arguments::DeviceName() const { return TextOr("device", "cpu"); }

fs::path ModelFolder(const Arguments& arguments) {
  return RequireModelFolder(arguments.Text("model"), arguments.ModelRoots());
}

void RefuseIdleIdsType(const Arguments& arguments, const std::string& ids_file) {
  if (!arguments.Has("ids-type") || (!ids_file.empty() && !EndsWith(ids_file, ".npy"))) return;
  throw ConfigError(ids_file.empty()
                        ? "--ids-type applies only to raw ids; leave it out"
                        : "--ids-type applies only to raw ids; a .npy file states its own type");
}

void RequireOneOf(const Arguments& arguments, const std::vector<std::string>& options) {
  std::vector<std::string> given, all;
  for (const std::string& option : options) {
    all.push_back("--" + option);
    if (arguments.Has(option)) given.push_back(all.back());
  }
  if (given.size() == 1) return;
  throw MakeError<ConfigError>("give one of {}{}", Join(all, ", "),
                               given.empty() ? "" : "; found " + Join(given, " and "));
}

Device OpenComputeDevice(const Arguments& arguments) {
  ConfigureTorch(arguments.Threads());
  return OpenDevice(arguments.DeviceName());
}

}  // namespace condense
