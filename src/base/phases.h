// Where the time and the memory of a piece of work go. One phase is under way at any moment, so
// that the times of all phases add up to the whole.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/system.h"

namespace condense {

struct PhaseUse {
  double seconds = 0;
  // Largest resident set of the process while the phase was under way; 0 where the kernel keeps no
  // peak that can be reset.
  uint64_t peak_bytes = 0;
};

class PhaseClock {
 public:
  // Work belongs to `phase` until another one begins.
  explicit PhaseClock(std::string phase);

  // Phases so far, the one under way included.
  std::map<std::string, PhaseUse> Uses();

  // A phase inside another, which goes on when the object goes away. `clock` may be null.
  class Scope {
   public:
    Scope(PhaseClock* clock, std::string phase);
    ~Scope();
    Scope(const Scope&) = delete;

   private:
    PhaseClock* clock_;
    std::string outer_;
  };

 private:
  // Books what has passed, and goes on as `phase`. Returns the phase until now.
  std::string Switch(std::string phase);

  std::string phase_;
  Stopwatch watch_;
  bool has_peaks_;
  std::map<std::string, PhaseUse> uses_;
};

// The largest peak of any phase.
uint64_t PeakBytesOf(const std::map<std::string, PhaseUse>& phases);

}  // namespace condense
