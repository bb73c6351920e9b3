#include "tensor/openmp_wait.h"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string_view>

namespace condense {
namespace {

constexpr const char* kSetting = "GOMP_SPINCOUNT=5000";

bool IsSettingOfWaits(std::string_view variable) {
  return variable.starts_with("GOMP_SPINCOUNT=") || variable.starts_with("OMP_WAIT_POLICY=");
}

}  // namespace

void LimitOpenMpWaiting(int, char** arguments, char** environment) {
  constexpr size_t kMostVariables = 4096;
  std::array<char*, kMostVariables + 2> extended{};  // on the stack: there is no heap yet
  size_t count = 0;
  for (; environment[count] != nullptr; ++count) {
    if (count == kMostVariables || IsSettingOfWaits(environment[count])) return;
    extended[count] = environment[count];
  }
  extended[count] = const_cast<char*>(kSetting);
  // By its own path, so that the process keeps its name.
  std::array<char, 4096> path{};
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
  if (length > 0) ::execve(path.data(), arguments, extended.data());
}

std::string OpenMpWaiting() {
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    if (IsSettingOfWaits(*variable)) return *variable;
  }
  return "threads spin for milliseconds; set GOMP_SPINCOUNT=5000 on a machine that others use";
}

}  // namespace condense
