#include "base/error.h"

namespace condense {

void CheckFailed(const char* file, int line, const char* condition, const std::string& message) {
  throw std::logic_error(fmt::format("internal error at {}:{}: {} does not hold{}{}", file, line,
                                     condition, message.empty() ? "" : ": ", message));
}

}  // namespace condense
