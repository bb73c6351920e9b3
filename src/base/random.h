// Random generators. Samplers that imitate a published program use that program's generator
// (protocols.md 10.1-10.2); everything else uses the project's own counter-based one (10.4), whose
// numbers are the same on every platform and thread count.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace condense {

// Python's random.Random(seed): MT19937 initialised by the one-element array [seed].
class PythonRandom {
 public:
  explicit PythonRandom(uint64_t seed);
  uint32_t NextU32();
  uint32_t GetRandBits(int bits);              // 1 <= bits <= 32
  int64_t RandInt(int64_t low, int64_t high);  // inclusive on both ends; high - low < 2^32

 private:
  std::array<uint32_t, 624> state_;
  int index_ = 624;
};

// NumPy's default_rng(seed): PCG64 seeded through SeedSequence([seed]).
class NumpyRandom {
 public:
  explicit NumpyRandom(uint32_t seed);
  uint64_t NextU64();
  uint32_t NextU32();  // low half first, the high half is kept for the next call
  std::vector<int64_t> Permutation(int64_t n);

 private:
  unsigned __int128 state_ = 0, increment_ = 0;
  bool has_half_ = false;
  uint32_t half_ = 0;
};

// Philox 4x32-10 keyed by SHA-256("condense-rng-1" || seed || purpose), so that adding a random
// step somewhere never shifts the numbers of another.
class Random {
 public:
  Random(uint64_t seed, std::string_view purpose);
  uint32_t NextU32();
  uint64_t NextU64();
  double Uniform();                // [0, 1), 53 bits
  double Normal();                 // mean 0, variance 1 (Box-Muller)
  uint64_t Below(uint64_t bound);  // unbiased, bound >= 1
  std::vector<int64_t> Permutation(int64_t n);
  // An independent generator for one part of the work.
  Random Derive(std::string_view purpose) const;

 private:
  std::array<uint32_t, 2> key_;
  uint64_t counter_ = 0;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
  bool has_normal_ = false;
  double normal_ = 0;
};

}  // namespace condense
