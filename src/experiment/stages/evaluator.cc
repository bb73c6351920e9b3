#include "experiment/stages/evaluator.h"

#include <algorithm>

namespace condense {
std::vector<std::string> EvaluatorKeys() { return Registry<Evaluator>::Instance().Names(); }

std::vector<Component<Evaluator>> ReadEvaluators(const Node& root, Problems& problems) {
  std::vector<Component<Evaluator>> evaluators;
  const std::vector<std::string> known = EvaluatorKeys();
  for (const auto& [key, value] : root.entries()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) continue;
    const auto& entry = Registry<Evaluator>::Instance().Get(key);
    const std::string first = entry.describe().front().name;
    std::string options;
    std::shared_ptr<const Evaluator> made =
        entry.make(value.IsMap() ? value : value.Wrapped(first), problems, &options);
    if (made == nullptr) continue;
    evaluators.push_back({key, entry.version, std::move(options), std::move(made), value.where()});
  }
  return evaluators;
}

}  // namespace condense
