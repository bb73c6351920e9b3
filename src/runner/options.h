// The options of a command as data: what the command line is parsed by, `--help` prints and shells
// complete (completion.h).
#pragma once

#include <string>
#include <vector>

namespace condense {

// What a shell offers for a value. All that are set are offered together.
struct Candidates {
  bool files = false, folders = false, experiments = false;  // experiments: .yaml files
  std::vector<std::string> listed;                           // kinds of `runner list`
  std::vector<std::string> words;
  bool several = false;  // separated by commas
};

struct Option {
  enum class Type { kFlag, kText, kTexts, kInteger, kNumber };
  std::string name;
  Type type = Type::kFlag;
  std::string value;  // stands for the value in the help: "DIR"
  std::string help;
  Candidates candidates;
  bool closed = false;  // `candidates.words` are all that is accepted
};

inline Option Flag(std::string name, std::string help) {
  return {.name = std::move(name), .help = std::move(help)};
}
inline Option TextOption(std::string name, std::string value, std::string help,
                         Candidates candidates = {}) {
  return {std::move(name), Option::Type::kText, std::move(value), std::move(help),
          std::move(candidates)};
}
// May be repeated.
inline Option TextsOption(std::string name, std::string value, std::string help,
                          Candidates candidates = {}) {
  return {std::move(name), Option::Type::kTexts, std::move(value), std::move(help),
          std::move(candidates)};
}
inline Option ChoiceOption(std::string name, std::string value, std::vector<std::string> choices,
                           std::string help) {
  return {std::move(name), Option::Type::kText,           std::move(value),
          std::move(help), {.words = std::move(choices)}, /*closed=*/true};
}
inline Option IntegerOption(std::string name, std::string help) {
  return {std::move(name), Option::Type::kInteger, "N", std::move(help)};
}
inline Option NumberOption(std::string name, std::string value, std::string help) {
  return {std::move(name), Option::Type::kNumber, std::move(value), std::move(help)};
}

// --- Options of several commands ---

// The options that every command has.
const std::vector<Option>& CommonOptions();
Option ModelOption();       // --model
Option ExperimentOption();  // the argument without a name
Option ProfileOption();     // --profile
Option StoredSetOption();   // --set, of what was run before
Option IdsTypeOption();     // --ids-type
Option DTypeOption(std::string help);

}  // namespace condense
