#include "experiment/spec/method_spec.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "experiment/inputs/config_name.h"

namespace condense {
namespace {

// The keys of a method entry that are not the method's own.
struct MethodFrame {
  std::optional<Match> match;
  Component<Allocator> allocator;
  std::string label, published_as;
  std::vector<double> ratios;

  template <class V>
  void Fields(V&& field) {
    field("match", match, "what a ratio counts");
    field("allocator", allocator, "how the ratio is spread over layers and modules");
    field("label", label, "name of the row", NonEmpty{});
    field("ratios", ratios, "instead of the experiment's", NonEmpty{}, Range(0, 1).OpenAbove());
    field("published_as", published_as,
          "FACTOR: LEVEL of the published ablation that this row repeats", NonEmpty{});
  }
};

const Node& KeyOr(const Node& node, std::string_view key) {
  const Node* found = node.Find(key);
  return found == nullptr ? node : *found;
}

void CheckFrame(const Node& node, const MethodFrame& frame, const MethodSpec& spec,
                Problems& problems) {
  if (frame.match && !spec.uses_ratio) {
    problems.Add(KeyOr(node, "match"),
                 fmt::format("method '{}' has no ratio to match", spec.method.name));
  }
  if (!frame.ratios.empty() && !spec.uses_ratio) {
    problems.Add(KeyOr(node, "ratios"), fmt::format("method '{}' has no ratio", spec.method.name));
  }
  RefuseRepeated(
      node, "ratios", frame.ratios, [](double ratio) { return JsonNumber(ratio); }, problems);
  if (frame.allocator && !spec.method->UsesAllocator()) {
    problems.Add(KeyOr(node, "allocator"),
                 fmt::format("method '{}' uses no allocator", spec.method.name));
  }
}

// The entry of a method with the assignments of an ablation.
std::optional<Node> Changed(const Node& entry, const AblationSpec& ablation, Problems& problems) {
  Node changed = entry;
  bool failed = false;
  for (const auto& [path, value] : ablation.set.entries()) {
    try {
      changed.Set(path, value);
    } catch (const ConfigError& error) {
      problems.Add(value, error.what());
      failed = true;
    }
  }
  if (failed) return std::nullopt;
  return changed;
}

class MethodReader {
 public:
  MethodReader(const std::vector<AblationSpec>& ablations, Problems& problems)
      : ablations_(ablations), problems_(problems) {}

  void Read(const Node& entry) {
    std::optional<MethodSpec> base = ReadMethod(entry, problems_);
    if (!base) return;
    const std::string label = base->label;
    const bool changeable = base->uses_ratio;
    Add(entry, *std::move(base));
    for (const AblationSpec& ablation : ablations_) {
      if (ablation.methods.empty() ? changeable : Contains(ablation.methods, label)) {
        ReadAblation(entry, label, ablation);
      }
    }
  }

  std::vector<MethodSpec> Finish() {
    std::vector<std::string> known;
    for (const MethodSpec& method : methods_) {
      if (method.ablation.empty()) known.push_back(method.label);
    }
    for (const AblationSpec& ablation : ablations_) {
      for (const std::string& name : ablation.methods) {
        if (Contains(known, name)) continue;
        problems_.Add(ablation.where, "ablations",
                      fmt::format("no method is labelled '{}'{}", name, SuggestName(name, known)));
      }
    }
    return std::move(methods_);
  }

 private:
  void ReadAblation(const Node& entry, const std::string& label, const AblationSpec& ablation) {
    const std::optional<Node> changed = Changed(entry, ablation, problems_);
    if (!changed) return;
    std::optional<MethodSpec> method = ReadMethod(*changed, problems_);
    if (!method) return;
    method->ablation = ablation.name;
    method->listed_as = label;
    method->published_as.clear();
    method->label = fmt::format("{}, {}", label, ablation.name);
    method->where = ablation.where;
    Add(entry, *std::move(method));
  }

  void Add(const Node& entry, MethodSpec method) {
    const auto same = [&](const MethodSpec& other) { return other.label == method.label; };
    const auto twin = std::find_if(methods_.begin(), methods_.end(), same);
    if (twin != methods_.end()) {
      problems_.Add(entry, fmt::format("two rows are called '{}' (the other one: {}); give this "
                                       "one its own label",
                                       method.label, twin->where.Text()));
      return;
    }
    methods_.push_back(std::move(method));
  }

  const std::vector<AblationSpec>& ablations_;
  Problems& problems_;
  std::vector<MethodSpec> methods_;
};

}  // namespace

void AblationSpec::Validate(const Node& at, Problems& problems) const {
  if (!set.IsMap() || set.entries().empty()) {
    problems.Add(KeyOr(at, "set"),
                 "expected a map of option paths to values, such as {rounding.mlp: 8}");
  }
}

std::optional<MethodSpec> ReadMethod(const Node& node, Problems& problems) {
  const size_t before = problems.count();
  const std::vector<std::string> framework = FieldNames<MethodFrame>();
  MethodSpec spec;
  spec.where = node.where();
  spec.method =
      ReadComponent<Compressor>(node.Without(framework).Without(TransformKeys()), problems);
  if (node.IsMap()) spec.transforms = ReadTransforms(node, problems);
  MethodFrame frame;
  if (node.IsMap()) ReadFields(node.Only(framework), frame, problems);
  if (problems.count() != before) return std::nullopt;

  spec.uses_ratio = spec.method->UsesRatio();
  spec.uses_calibration = spec.method->UsesCalibration();
  CheckFrame(node, frame, spec, problems);
  if (problems.count() != before) return std::nullopt;
  spec.label = frame.label.empty() ? spec.method.name : frame.label;
  spec.listed_as = spec.label;
  spec.published_as = frame.published_as;
  spec.ratios = std::move(frame.ratios);
  spec.match = frame.match.value_or(Match::kBlock);
  if (spec.method->UsesAllocator()) {
    spec.allocator = frame.allocator ? frame.allocator
                                     : MakeComponent<Allocator>(spec.method->default_allocator());
  }
  return spec;
}

std::vector<MethodSpec> ReadMethods(const std::vector<Node>& methods,
                                    const std::vector<AblationSpec>& ablations,
                                    Problems& problems) {
  MethodReader reader(ablations, problems);
  for (const Node& entry : methods) reader.Read(entry);
  return reader.Finish();
}

}  // namespace condense
