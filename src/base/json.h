// JSON from outside, read strictly and in time linear in its length.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace condense {

// More than any configuration, tokenizer or header needs; the readers of tokenizer.json and
// safetensors in the reference implementations stop there too. Printing and copying a parsed value
// take stack for each level.
constexpr int kDeepestJson = 128;

enum class DuplicateKeys {
  kRefused,
  kLastCounts,  // as in Python's reader
};

// DataError, beginning with `where` and with line and column, for malformed text, arrays and objects
// nested deeper than kDeepestJson, and a key that an object has twice unless that is allowed.
nlohmann::json ParseJson(std::string_view text, const std::string& where,
                         DuplicateKeys duplicates = DuplicateKeys::kRefused);

// What the library says of an error in what(), without its code and place.
std::string JsonReason(std::string text);

}  // namespace condense
