// Where tests find reference data: the small copy in tests/golden that every clone has, and the
// larger development data in ../shared (or CONDENSE_SHARED), without which tests skip.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace condense {

inline std::filesystem::path SourceFolder() { return CONDENSE_SOURCE_DIR; }

inline std::filesystem::path SharedFolder() {
  const char* named = std::getenv("CONDENSE_SHARED");
  return named != nullptr ? std::filesystem::path(named) : SourceFolder().parent_path() / "shared";
}

}  // namespace condense

#define CONDENSE_SKIP_WITHOUT(path) \
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "development data absent: " << (path)
