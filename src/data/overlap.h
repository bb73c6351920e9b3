// Text that a calibration set shares with an evaluated text (protocols.md 0.8): scores on text that
// a method was calibrated on would be too good.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "data/calibration.h"

namespace condense {

struct Overlap {
  int64_t shingles = 0;  // positions of the evaluated text at which a shared run begins
  int64_t sequence = 0, sequence_offset = 0, evaluation_offset = 0;  // of the first one
};
inline constexpr int64_t kShingleLength = 64;

// Runs of `length` ids that both have.
Overlap ShingleOverlap(const std::vector<std::vector<TokenId>>& sequences,
                       std::span<const TokenId> evaluation, int64_t length = kShingleLength);

// DataError, saying where, if anything is shared.
void RequireNoOverlap(const CalibrationSet& calibration, std::span<const TokenId> evaluation,
                      std::string_view evaluation_name);

}  // namespace condense
