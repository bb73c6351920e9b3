// The filters that tasks apply to texts (protocols.md 3.4), as in lm-evaluation-harness. Each is a
// function of one text and independent of the task that uses it.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/fields.h"

namespace condense {

enum class TaskFilter {
  kStrip,          // without the white space at both ends, as Python's str.strip
  kLeftStrip,      // without the white space at the left end
  kCapitalize,     // first code point in title case, the rest in lower case
  kHellaSwag,      // the clean-up of HellaSwag's texts
  kBeforeBlank,    // the text before the first `_`
  kAfterBlank,     // the text after it
  kButLastWord,    // the text before the last space; empty if there is none
  kLastWord,       // the text after it
  kMathQaOptions,  // a string of options as a list
};

template <>
struct EnumNames<TaskFilter> {
  static constexpr std::array names{std::pair{TaskFilter::kStrip, "strip"},
                                    std::pair{TaskFilter::kLeftStrip, "lstrip"},
                                    std::pair{TaskFilter::kCapitalize, "capitalize"},
                                    std::pair{TaskFilter::kHellaSwag, "hellaswag"},
                                    std::pair{TaskFilter::kBeforeBlank, "before_blank"},
                                    std::pair{TaskFilter::kAfterBlank, "after_blank"},
                                    std::pair{TaskFilter::kButLastWord, "but_last_word"},
                                    std::pair{TaskFilter::kLastWord, "last_word"},
                                    std::pair{TaskFilter::kMathQaOptions, "mathqa_options"}};
};

// Whether a text becomes a list of texts.
bool MakesList(TaskFilter filter);
// DataError without a place when the text lacks what the filter looks for.
std::string ApplyFilter(TaskFilter filter, std::string_view text);
std::vector<std::string> ApplyListFilter(TaskFilter filter, std::string_view text);

std::string Capitalized(std::string_view text);
std::string HellaSwagCleaned(std::string_view text);
std::vector<std::string> MathQaOptions(std::string_view text);

}  // namespace condense
