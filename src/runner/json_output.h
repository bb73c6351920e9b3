// JSON on standard output, one value a line, keys in the order in which they were set.
#pragma once

#include <iostream>
#include <nlohmann/json.hpp>

namespace condense {

using Json = nlohmann::ordered_json;

inline void PrintJsonLine(const Json& value) {
  std::cout << value.dump(-1, ' ', /*ensure_ascii=*/false) << '\n';
}

}  // namespace condense
