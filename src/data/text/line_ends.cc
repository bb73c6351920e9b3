#include "data/text/line_ends.h"

#include <algorithm>
#include <string>

#include "base/log.h"
#include "base/strings.h"

namespace condense {

void SayWindowsMarks(std::string_view text, const std::filesystem::path& path) {
  int64_t windows = 0;
  for (size_t at = 0; (at = text.find("\r\n", at)) != text.npos; at += 2) ++windows;
  std::vector<std::string> marks;
  if (text.starts_with("\xEF\xBB\xBF")) marks.emplace_back("begins with a byte-order mark");
  if (windows > 0) {
    const auto lines = std::count(text.begin(), text.end(), '\n');
    marks.push_back(fmt::format("has {} of {} line ends as CR LF (Windows)", windows, lines));
  }
  if (marks.empty()) return;
  LogWarning(
      "{} {}; this is tokenized as it stands: sed -e '1s/^\\xEF\\xBB\\xBF//' -e 's/\\r$//' "
      "gives a file without",
      path.string(), Join(marks, " and "));
}

}  // namespace condense
