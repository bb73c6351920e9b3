// Where tests find reference data: the small copy in tests/golden that every clone has, and the
// larger development data in ../shared (or CONDENSE_SHARED), without which tests skip.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace condense {

inline std::filesystem::path SourceFolder() { return CONDENSE_SOURCE_DIR; }

inline std::filesystem::path SharedFolder() {
  const char* named = std::getenv("CONDENSE_SHARED");
  return named != nullptr ? std::filesystem::path(named) : SourceFolder().parent_path() / "shared";
}

// A golden file: the copy that every clone has, or that of the development data.
inline std::filesystem::path GoldenFile(const std::filesystem::path& relative) {
  const auto shipped = SourceFolder() / "tests/golden" / relative;
  return std::filesystem::exists(shipped) ? shipped : SharedFolder() / "golden" / relative;
}

// The same for files of which every clone has a part: whole where the development data is.
inline std::filesystem::path WholeGoldenFile(const std::filesystem::path& relative) {
  const auto whole = SharedFolder() / "golden" / relative;
  return std::filesystem::exists(whole) ? whole : GoldenFile(relative);
}

// The folder of a model: bundled, or among the development data.
inline std::filesystem::path ModelFolder(const std::string& name) {
  const auto bundled = SourceFolder() / "configs/bundled/models" / name;
  return std::filesystem::exists(bundled) ? bundled : SharedFolder() / "models" / name;
}

// A text named by a golden: "bundle/text/stories.txt" ships, "data/..." does not.
inline std::filesystem::path GoldenText(const std::string& relative) {
  const std::string bundle = "bundle/";
  if (relative.starts_with(bundle)) {
    return SourceFolder() / "configs/bundled" / relative.substr(bundle.size());
  }
  return SharedFolder() / relative;
}

// A file or model as the name of a test instance, which has letters, digits and "_".
inline std::string TestName(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); },
      '_');
  return name;
}

}  // namespace condense

#define CONDENSE_SKIP_WITHOUT(path) \
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "development data absent: " << (path)
