// How deep JSON from outside may be nested. Whoever parses such a text calls this before, because
// printing and copying a parsed value take stack for each level.
#pragma once

#include <string>
#include <string_view>

namespace condense {

// More than any configuration, tokenizer or header needs; the readers of tokenizer.json and
// safetensors in the reference implementations stop there too.
constexpr int kDeepestJson = 128;

// DataError, beginning with `where`, if arrays and objects are nested deeper than kDeepestJson.
// Takes time linear in the text and no memory; says nothing about other faults.
void RefuseDeepJson(std::string_view text, std::string_view where);

}  // namespace condense
