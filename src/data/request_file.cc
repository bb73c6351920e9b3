// Reads requests from a file of JSON lines.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/strings.h"
#include "data/requests.h"
#include "data/text/jsonl.h"

namespace condense {

std::vector<Request> ReadRequests(const std::filesystem::path& path) {
  const std::string text = ReadFile(path);
  std::vector<Request> requests;
  ForEachJsonLine(text, path, [&](const nlohmann::json& record, const std::string& place) {
    requests.push_back(
        {JsonText(record, "context", place), JsonText(record, "continuation", place), place});
  });
  if (requests.empty()) {
    throw MakeError<DataError>(
        "{}: holds no requests; expected a line {{\"context\": ..., \"continuation\": ...}} each",
        path.string());
  }
  return requests;
}

}  // namespace condense
