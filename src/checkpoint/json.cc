#include "checkpoint/json.h"

#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace condense {

using Json = nlohmann::json;

Json ReadJson(const std::filesystem::path& path) {
  return ParseJson(ReadFile(path), path.string());
}

void WriteJson(const std::filesystem::path& path, const Json& value) {
  std::string text;
  try {
    text = value.dump(/*indent=*/2) + "\n";
  } catch (const Json::exception& error) {
    throw MakeError<DataError>("{}: cannot be written as JSON: {}", path.string(),
                               JsonReason(error.what()));
  }
  WriteFileAtomically(path, text);
}

}  // namespace condense
