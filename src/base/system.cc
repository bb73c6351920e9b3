#include "base/system.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <ctime>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/strings.h"

namespace condense {
namespace {

std::atomic<bool> interrupted{false};

void OnSignal(int number) {
  if (interrupted.exchange(true)) {
    ::signal(number, SIG_DFL);
    ::raise(number);
  }
}

// The number behind `key` in a file of "key: value kB" lines, in bytes.
uint64_t KibibytesField(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (StartsWith(line, key)) return std::stoull(line.substr(key.size())) * 1024;
  }
  return 0;
}

}  // namespace

void InstallInterruptHandler() {
  struct sigaction action {};
  action.sa_handler = OnSignal;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool InterruptRequested() { return interrupted; }

void CheckInterrupt() {
  if (interrupted) throw Interrupted();
}

uint64_t PeakResidentBytes() {
  const uint64_t peak = KibibytesField("/proc/self/status", "VmHWM:");
  if (peak != 0) return peak;
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

uint64_t CurrentResidentBytes() { return KibibytesField("/proc/self/status", "VmRSS:"); }

bool ResetPeakResident() {
  std::ofstream file("/proc/self/clear_refs");
  file << 5 << std::flush;
  return static_cast<bool>(file);
}

std::string HostName() {
  char name[256] = "";
  ::gethostname(name, sizeof name - 1);
  return name;
}

std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (StartsWith(line, "model name")) return std::string(Trim(line.substr(line.find(':') + 1)));
  }
  return "unknown";
}

int PhysicalCores() {
  std::ifstream file("/proc/cpuinfo");
  std::set<std::pair<std::string, std::string>> cores;
  std::string package;
  for (std::string line; std::getline(file, line);) {
    if (StartsWith(line, "physical id")) package = line;
    if (StartsWith(line, "core id")) cores.emplace(package, line);
  }
  if (!cores.empty()) return static_cast<int>(cores.size());
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

uint64_t MemoryBytes() { return KibibytesField("/proc/meminfo", "MemTotal:"); }

std::string UtcNow() {
  const std::time_t now = std::time(nullptr);
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
}

}  // namespace condense
