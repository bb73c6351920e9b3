// The named text rules of tasks (protocols.md 3.4), as lm-evaluation-harness applies them. Each is
// a function of one text; none knows which task uses it.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/fields.h"

namespace condense {

enum class TaskFilter {
  kStrip,          // white space off both ends, in Python's notion
  kLeftStrip,      // off the left end
  kCapitalize,     // first code point in title case, all the rest in lower case
  kHellaSwag,      // the clean-up of HellaSwag's texts
  kBeforeBlank,    // what stands before the first `_`
  kAfterBlank,     // what stands after it
  kButLastWord,    // what stands before the last space; nothing without a space
  kLastWord,       // what stands after it
  kMathQaOptions,  // one string of options to a list
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

// Whether one text becomes a list of texts.
bool MakesList(TaskFilter filter);
// DataError without a place when the text lacks what the filter looks for.
std::string ApplyFilter(TaskFilter filter, std::string_view text);
std::vector<std::string> ApplyListFilter(TaskFilter filter, std::string_view text);

std::string Capitalized(std::string_view text);
std::string HellaSwagCleaned(std::string_view text);
std::vector<std::string> MathQaOptions(std::string_view text);

}  // namespace condense
