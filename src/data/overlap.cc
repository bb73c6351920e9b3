#include "data/overlap.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"

namespace condense {
namespace {

constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15;  // odd, so that no id is multiplied away

// Calls `at(offset, hash)` for each run of `length` ids, with a rolling hash. The caller compares
// runs of equal hash id by id, so that a collision cannot stop an experiment.
template <class F>
void ForEachShingle(std::span<const TokenId> ids, int64_t length, F&& at) {
  const auto count = static_cast<size_t>(length);
  uint64_t leaving_weight = 1;
  for (int64_t i = 0; i < length; ++i) leaving_weight *= kMultiplier;
  uint64_t hash = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    hash = hash * kMultiplier + static_cast<uint64_t>(ids[i]) + 1;
    if (i >= count) hash -= leaving_weight * (static_cast<uint64_t>(ids[i - count]) + 1);
    if (i + 1 >= count) at(i + 1 - count, hash);
  }
}

struct Place {
  size_t sequence, offset;
};

}  // namespace

Overlap ShingleOverlap(const std::vector<std::vector<TokenId>>& sequences,
                       std::span<const TokenId> evaluation, int64_t length) {
  CONDENSE_CHECK(length >= 1, "{}", length);
  std::unordered_map<uint64_t, Place> known;
  for (size_t s = 0; s < sequences.size(); ++s) {
    ForEachShingle(sequences[s], length, [&](size_t offset, uint64_t hash) {
      known.try_emplace(hash, Place{s, offset});
    });
  }
  Overlap overlap;
  ForEachShingle(evaluation, length, [&](size_t offset, uint64_t hash) {
    const auto found = known.find(hash);
    if (found == known.end()) return;
    const Place place = found->second;
    const auto ids = sequences[place.sequence].begin() + static_cast<int64_t>(place.offset);
    const auto evaluated = evaluation.begin() + static_cast<int64_t>(offset);
    if (!std::equal(ids, ids + length, evaluated)) return;
    if (overlap.shingles++ > 0) return;
    overlap.sequence = static_cast<int64_t>(place.sequence);
    overlap.sequence_offset = static_cast<int64_t>(place.offset);
    overlap.evaluation_offset = static_cast<int64_t>(offset);
  });
  return overlap;
}

void RequireNoOverlap(const CalibrationSet& calibration, std::span<const TokenId> evaluation,
                      std::string_view evaluation_name) {
  const Overlap overlap = ShingleOverlap(calibration.sequences, evaluation);
  if (overlap.shingles == 0) return;
  throw MakeError<DataError>(
      "calibration {} contains text that {} measures: they share {} runs of {} ids, the first at "
      "id {} of sequence {} and id {} of the evaluated text; choose another split, or set "
      "allow_overlap: true",
      calibration.id, evaluation_name, overlap.shingles, kShingleLength, overlap.sequence_offset,
      overlap.sequence, overlap.evaluation_offset);
}

}  // namespace condense
