// The strict readings of YAML scalars, and the spelling of values in canonical text (JSON).
//
// Only `true` and `false` are booleans; integers are decimal digits without leading zeros; numbers
// are finite; quoted text is never a number or a boolean. Text is any scalar as it stands.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/node.h"

namespace condense {

// Each gives nullopt after adding a problem that says what was expected and what was found.
std::optional<bool> ReadBool(const Node& node, Problems& problems);
std::optional<int64_t> ReadSigned(const Node& node, int64_t least, int64_t most,
                                  Problems& problems);
std::optional<uint64_t> ReadUnsigned(const Node& node, uint64_t most, Problems& problems);
std::optional<double> ReadDouble(const Node& node, Problems& problems);
std::optional<std::string> ReadString(const Node& node, Problems& problems);

// For a scalar that is none of the choices, or another kind of value.
void AddUnknownChoice(const Node& node, const std::vector<std::string>& choices,
                      Problems& problems);
void AddExpected(const Node& node, std::string_view expected, Problems& problems);

std::string JsonString(std::string_view text);
// The shortest digits that read back as the same value; `value` is finite.
std::string JsonNumber(double value);

}  // namespace condense
