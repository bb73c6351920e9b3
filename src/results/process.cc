#include "results/process.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/strings.h"
#include "base/system.h"

namespace condense {
namespace {

struct ProcessParts {
  std::string start, boot, pid_namespace;
};

std::string BootId() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  file >> id;
  return id;
}

std::string PidNamespace() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/ns/pid", error).string();
}

// Start time of a process (field 22 of /proc/<pid>/stat); empty if it is gone or a zombie.
std::string StartOf(int64_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::stringstream content;
  content << file.rdbuf();
  const std::string line = content.str();
  // The second field is the program's name in brackets and may itself hold spaces and brackets.
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return "";
  std::istringstream fields(line.substr(name_end + 1));
  std::string state, field;
  fields >> state;
  if (state == "Z" || state == "X") return "";
  for (int index = 4; index <= 22; ++index) fields >> field;
  return field;
}

ProcessParts SplitProcess(const std::string& process) {
  const size_t colon = process.find(':'), at = process.find('@'), slash = process.find('/'),
               hash = process.rfind('#');
  if (colon == std::string::npos || at == std::string::npos || slash == std::string::npos ||
      hash == std::string::npos)
    return {};
  return {process.substr(colon + 1, at - colon - 1), process.substr(at + 1, slash - at - 1),
          process.substr(slash + 1, hash - slash - 1)};
}

}  // namespace

Owner NewOwner() {
  static std::atomic<int> stores{0};
  const int64_t pid = ::getpid();
  return {HostName(), pid,
          fmt::format("{}:{}@{}/{}#{}", pid, StartOf(pid), BootId(), PidNamespace(), ++stores)};
}

Life LifeOf(const Owner& owner) {
  if (owner.host != HostName()) return Life::kUnknown;
  const ProcessParts parts = SplitProcess(owner.process);
  if (parts.boot != BootId()) return Life::kDead;  // this host was started anew since then
  if (parts.pid_namespace != PidNamespace()) return Life::kUnknown;
  return StartOf(owner.pid) == parts.start ? Life::kAlive : Life::kDead;
}

bool IsAbandoned(const Owner& owner, int64_t heartbeat, int64_t now,
                 std::chrono::seconds patience) {
  const Life life = LifeOf(owner);
  if (life == Life::kUnknown) return now - heartbeat > patience.count();
  return life == Life::kDead;
}

}  // namespace condense
