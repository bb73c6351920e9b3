#include "base/json_nesting.h"

#include <algorithm>

#include "base/error.h"

namespace condense {

void RefuseDeepJson(std::string_view text, std::string_view where) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth <= kDeepestJson) continue;
      throw MakeError<DataError>(
          "{}: JSON nested more than {} levels deep (byte {}); no such file has that many, so it "
          "is damaged or hostile",
          where, kDeepestJson, i);
    } else if (c == ']' || c == '}') {
      depth = std::max(0, depth - 1);
    }
  }
}

}  // namespace condense
