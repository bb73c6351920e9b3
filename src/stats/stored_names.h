// Names in the results database that say more than one thing, as structs. They are written and read
// here alone. Their spelling is frozen, because databases hold them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace condense {

// A task, or its first documents, which are never taken for the whole: "arc_easy",
// "arc_easy@first-100".
struct TaskPart {
  std::string task;
  std::optional<int64_t> first;  // none: the whole task
  bool operator==(const TaskPart&) const = default;
};
std::string FormatTaskPart(const TaskPart& part);
TaskPart ParseTaskPart(std::string_view text);

// The protocol of agreement with the dense model on a text: "agree-wikitext2-2048", or
// "agree-wikitext2-2048@16" with another number of windows than the text's own.
struct AgreementText {
  std::string text;
  std::optional<int64_t> windows;
  bool operator==(const AgreementText&) const = default;
};
std::string FormatAgreementText(const AgreementText& agreement);
std::optional<AgreementText> ParseAgreementText(std::string_view protocol);

// The task under which numbers of one module are stored: "layer 3 mlp".
struct ModulePlace {
  int64_t layer = 0;
  std::string module;
  bool operator==(const ModulePlace&) const = default;
};
std::string FormatModulePlace(const ModulePlace& place);
std::optional<ModulePlace> ParseModulePlace(std::string_view task);

}  // namespace condense
