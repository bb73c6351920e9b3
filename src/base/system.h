// What the operating system knows of this process and machine.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace condense {

// Installs handlers for SIGINT and SIGTERM. The first signal asks for a clean stop; the second
// kills.
void InstallInterruptHandler();
// Throws Interrupted after the first signal. Long loops call it once an iteration.
void CheckInterrupt();
bool InterruptRequested();

uint64_t PeakResidentBytes();  // of this process so far, or since ResetPeakResident()
uint64_t CurrentResidentBytes();
// Lowers the peak to the current value where the kernel allows it; false where it does not.
bool ResetPeakResident();

std::string HostName();
std::string CpuModel();
int PhysicalCores();
uint64_t MemoryBytes();
std::string UtcNow();  // "2026-01-31T12:00:00Z"

class Stopwatch {
 public:
  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace condense
