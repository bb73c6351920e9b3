#include "experiment/inputs/config_name.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "config/paths.h"

namespace condense {

void RequireConfigName(const Node& node, const char* folder, const char* what, Problems& problems) {
  if (!node.IsScalar()) {
    return AddExpected(node, fmt::format("the name of a {}", what), problems);
  }
  const std::vector<std::string> known = ListConfigs(folder);
  if (std::find(known.begin(), known.end(), node.text()) != known.end()) return;
  problems.Add(
      node, fmt::format("unknown {} '{}'{}", what, node.text(), SuggestName(node.text(), known)));
}

}  // namespace condense
