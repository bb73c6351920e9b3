// The rows of an experiment: methods with their options, and how each meets a ratio.
//
//   methods:
//     - dense
//     - {use: slicegpt, match: block, round_to: 1}
//     - {use: modegpt, label: "MoDeGPT, uniform", allocator: uniform}
//   ablations:
//     - {name: coarse rounding, methods: [slicegpt], set: {round_to: 8}}
//
// `use`, `match`, `allocator`, `label`, `ratios`, `published_as` and the names of transforms
// (transform.h) are read here; every other key is an option of the method. An ablation adds a row
// per method that it names, with the assignments of `set` applied; if it names none, per method
// that removes something.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "compression/compress.h"
#include "config/registry.h"
#include "experiment/stages/transform.h"

namespace condense {

template <>
struct EnumNames<Match> {
  static constexpr std::array names{
      std::pair{Match::kBlock, "block"}, std::pair{Match::kNominal, "nominal"},
      std::pair{Match::kTotal, "total"}, std::pair{Match::kTotalAbs, "total_abs"}};
};

struct MethodSpec {
  std::string label;      // unique in an experiment
  std::string ablation;   // name of the ablation; empty for the method as listed
  std::string listed_as;  // label of the entry without the ablation
  // The published ablation that this is, as "allocation: uniform"; empty where there is none.
  std::string published_as;
  std::vector<double> ratios;  // instead of the experiment's, where there are any
  Match match = Match::kBlock;
  Component<Compressor> method;
  Component<Allocator> allocator;         // empty if the method uses none
  std::vector<TransformAxis> transforms;  // instead of the experiment's, where there are any
  Location where;

  // Facts of the method that decide which settings make a cell of their own.
  bool uses_ratio = true, uses_calibration = true;

  // The method must outlive what is returned.
  CompressionRequest Request(double ratio, uint64_t seed) const {
    return {.method = *method.object,
            .allocator = allocator.object.get(),
            .ratio = ratio,
            .match = match,
            .seed = seed};
  }
};

struct AblationSpec {
  std::string name;
  std::vector<std::string> methods;  // labels
  Node set;                          // option path -> value
  Location where;

  template <class V>
  void Fields(V&& field) {
    field("name", name, "added to the label of the method", Required{}, NonEmpty{});
    field("methods", methods,
          "labels of the methods that are changed; otherwise all that remove something",
          NonEmpty{});
    field("set", set, "options by their dotted path, and their values", Required{});
  }
  void Validate(const Node& at, Problems& problems) const;
};

// nullopt after adding problems.
std::optional<MethodSpec> ReadMethod(const Node& node, Problems& problems);

// All rows: each method followed by its ablations. Labels that collide are a problem.
std::vector<MethodSpec> ReadMethods(const std::vector<Node>& methods,
                                    const std::vector<AblationSpec>& ablations, Problems& problems);

}  // namespace condense
