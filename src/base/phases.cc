#include "base/phases.h"

#include <algorithm>
#include <utility>

namespace condense {

PhaseClock::PhaseClock(std::string phase)
    : phase_(std::move(phase)), has_peaks_(ResetPeakResident()) {}

std::string PhaseClock::Switch(std::string phase) {
  PhaseUse& use = uses_[phase_];
  use.seconds += watch_.Seconds();
  watch_ = Stopwatch();
  if (has_peaks_) {
    use.peak_bytes = std::max(use.peak_bytes, PeakResidentBytes());
    ResetPeakResident();
  }
  return std::exchange(phase_, std::move(phase));
}

std::map<std::string, PhaseUse> PhaseClock::Uses() {
  Switch(phase_);
  return uses_;
}

PhaseClock::Scope::Scope(PhaseClock* clock, std::string phase) : clock_(clock) {
  if (clock_ != nullptr) outer_ = clock_->Switch(std::move(phase));
}

PhaseClock::Scope::~Scope() {
  if (clock_ != nullptr) clock_->Switch(std::move(outer_));
}

uint64_t PeakBytesOf(const std::map<std::string, PhaseUse>& phases) {
  uint64_t peak = 0;
  for (const auto& [phase, use] : phases) peak = std::max(peak, use.peak_bytes);
  return peak;
}

}  // namespace condense
