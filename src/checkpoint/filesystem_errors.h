// Errors of std::filesystem as DataError.
#pragma once

#include <filesystem>

#include "base/error.h"

namespace condense {

// Runs `action`; what std::filesystem throws in it becomes a DataError that names the file.
template <class F>
auto WithDataErrors(F&& action) {
  try {
    return action();
  } catch (const std::filesystem::filesystem_error& error) {
    throw MakeError<DataError>("{}: {}", error.path1().string(), error.code().message());
  }
}

}  // namespace condense
