// The kinds of failure the program distinguishes, and the exit code of each.
//
// ConfigError: the user can mend the YAML or the command (exit 2). DataError: a file is missing,
// malformed, has another digest or cannot be written (exit 3). NumericError: a decomposition failed
// or a value is not finite; fails its cell, not the sweep (exit 1). Interrupted: Ctrl-C (exit 130).
// CONDENSE_CHECK guards internal contracts and is never reachable from input.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace condense {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  virtual int ExitCode() const { return 1; }
  // Short stable name stored with a failed cell: "config", "data", "numeric", "interrupted".
  virtual const char* Class() const { return "error"; }
};

class ConfigError : public Error {
 public:
  using Error::Error;
  int ExitCode() const override { return 2; }
  const char* Class() const override { return "config"; }
};

class DataError : public Error {
 public:
  using Error::Error;
  int ExitCode() const override { return 3; }
  const char* Class() const override { return "data"; }
};

class NumericError : public Error {
 public:
  using Error::Error;
  const char* Class() const override { return "numeric"; }
};

class Interrupted : public Error {
 public:
  Interrupted() : Error("interrupted") {}
  int ExitCode() const override { return 130; }
  const char* Class() const override { return "interrupted"; }
};

// throw MakeError<DataError>("{}: expected {} bytes, found {}", path, expected, found);
template <class E, class... Args>
E MakeError(fmt::format_string<Args...> format, Args&&... args) {
  return E(fmt::format(format, std::forward<Args>(args)...));
}

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              const std::string& message);

}  // namespace condense

#define CONDENSE_CHECK(condition, ...)                                                        \
  do {                                                                                        \
    if (!(condition)) {                                                                       \
      ::condense::CheckFailed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
    }                                                                                         \
  } while (false)
