// Fractions read from a CSV file with the header layer,mlp,qk,vo.
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "compression/allocator.h"
#include "config/registry.h"

namespace condense {
namespace {

// A file and its text, read while the options are: what is missing shows before any work, and the
// digest of what was read enters the fingerprint.
struct AllocationFile {
  std::string path, text;
};

}  // namespace

template <>
struct FieldType<AllocationFile> {
  static void Read(const Node& node, AllocationFile& value, Problems& problems) {
    auto path = ReadString(node, problems);
    if (!path) return;
    // Relative to the file that names it; an option of the command line to the current folder.
    const std::filesystem::path from = node.where().line > 0 ? node.where().file : "";
    value.path = (from.parent_path() / *path).string();
    try {
      value.text = ReadFile(value.path);
    } catch (const DataError& error) {
      problems.Add(node, error.what());
    }
  }
  static std::string Canonical(const AllocationFile& value) {
    return JsonString("sha256:" + Sha256Hex(value.text));
  }
  static std::string TypeName() { return "file"; }
};

namespace {

class FromFile final : public Allocator {
 public:
  struct Params {
    AllocationFile path;
    bool renormalise = false;
    template <class V>
    void Fields(V&& field) {
      field("path", path,
            "CSV file with the header layer,mlp,qk,vo and one line for each layer; relative to the "
            "experiment",
            Required{});
      field("renormalise", renormalise,
            "scale the fractions so that their mean is the ratio asked for");
    }
  };
  explicit FromFile(Params params) : params_(std::move(params)) {}

  Allocation Allocate(const AllocationRequest& request) const override {
    Allocation allocation = Read(static_cast<int64_t>(request.dense.layers.size()));
    const double mean = MeanSparsity(request.dense, allocation);
    if (std::abs(mean - request.target) <= 1e-6) return allocation;
    if (!params_.renormalise) {
      throw MakeError<ConfigError>(
          "{}: removes {:.6f} of the block weights, the ratio asks for {:.6f}; set renormalise: "
          "true to scale it",
          params_.path.path, mean, request.target);
    }
    if (mean <= 0)
      throw MakeError<ConfigError>("{}: removes nothing, so it cannot be scaled",
                                   params_.path.path);
    for (ModuleSparsity& layer : allocation) {
      for (const Module module : kModules) {
        layer.of(module) *= request.target / mean;
        if (layer.of(module) >= 1) {
          throw MakeError<ConfigError>("{}: scaled to {:.4f}, a module would lose everything",
                                       params_.path.path, request.target);
        }
      }
    }
    return allocation;
  }

  bool IsFixed() const override { return !params_.renormalise; }

 private:
  Allocation Read(int64_t layers) const {
    const std::vector<std::string> lines = Split(params_.path.text, '\n');
    if (Trim(lines[0]) != "layer,mlp,qk,vo") {
      throw MakeError<DataError>("{}:1: expected the header 'layer,mlp,qk,vo', found '{}'",
                                 params_.path.path, Trim(lines[0]));
    }
    Allocation allocation;
    for (size_t i = 1; i < lines.size(); ++i) {
      if (Trim(lines[i]).empty()) continue;
      const auto cells = Split(Trim(lines[i]), ',');
      const auto number = [&](size_t column) {
        try {
          size_t used = 0;
          const double value = std::stod(cells.at(column), &used);
          if (used == cells[column].size() && std::isfinite(value)) return value;
        } catch (const std::exception&) {
        }
        throw MakeError<DataError>("{}:{}: expected four numbers, found '{}'", params_.path.path,
                                   i + 1, lines[i]);
      };
      if (cells.size() != 4 || number(0) != static_cast<double>(allocation.size())) {
        throw MakeError<DataError>("{}:{}: expected four numbers for layer {}, found '{}'",
                                   params_.path.path, i + 1, allocation.size(), lines[i]);
      }
      const ModuleSparsity layer{.mlp = number(1), .qk = number(2), .vo = number(3)};
      for (const Module module : kModules) {
        if (layer.of(module) < 0 || layer.of(module) >= 1) {
          throw MakeError<DataError>("{}:{}: {} is {}, expected a fraction in [0, 1)",
                                     params_.path.path, i + 1, ModuleName(module),
                                     layer.of(module));
        }
      }
      allocation.push_back(layer);
    }
    if (static_cast<int64_t>(allocation.size()) != layers) {
      throw MakeError<DataError>("{}: has {} layers, the model has {}", params_.path.path,
                                 allocation.size(), layers);
    }
    return allocation;
  }

  Params params_;
};

CONDENSE_REGISTER(Allocator, FromFile, "from_file", 1, "fractions from a CSV file");

}  // namespace
}  // namespace condense
