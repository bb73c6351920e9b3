#include "base/random.h"

#include <bit>
#include <cmath>
#include <numbers>
#include <numeric>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/sha256.h"

namespace condense {

// --- Python --------------------------------------------------------------------------------------

PythonRandom::PythonRandom(uint64_t seed) {
  constexpr int kSize = 624;
  std::vector<uint32_t> key{static_cast<uint32_t>(seed)};
  if (seed >> 32) key.push_back(static_cast<uint32_t>(seed >> 32));
  state_[0] = 19650218u;
  for (int i = 1; i < kSize; ++i) {
    state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + static_cast<uint32_t>(i);
  }
  int i = 1;
  size_t j = 0;
  for (int k = 0; k < kSize; ++k) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525u)) + key[j] +
                static_cast<uint32_t>(j);
    if (++i == kSize) state_[0] = state_[kSize - 1], i = 1;
    if (++j == key.size()) j = 0;
  }
  for (int k = 0; k < kSize - 1; ++k) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941u)) -
                static_cast<uint32_t>(i);
    if (++i == kSize) state_[0] = state_[kSize - 1], i = 1;
  }
  state_[0] = 0x80000000u;
}

uint32_t PythonRandom::NextU32() {
  constexpr int kSize = 624, kMiddle = 397;
  if (index_ == kSize) {
    for (int i = 0; i < kSize; ++i) {
      const uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % kSize] & 0x7fffffffu);
      state_[i] = state_[(i + kMiddle) % kSize] ^ (y >> 1) ^ ((y & 1) ? 0x9908b0dfu : 0u);
    }
    index_ = 0;
  }
  uint32_t y = state_[index_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

uint32_t PythonRandom::GetRandBits(int bits) { return NextU32() >> (32 - bits); }

int64_t PythonRandom::RandInt(int64_t low, int64_t high) {
  CONDENSE_CHECK(low <= high && high - low < (int64_t{1} << 32) - 1, "range {}..{}", low, high);
  const auto n = static_cast<uint64_t>(high - low + 1);
  const int bits = std::bit_width(n);
  uint64_t draw;
  do draw = GetRandBits(bits);
  while (draw >= n);
  return low + static_cast<int64_t>(draw);
}

// --- NumPy ---------------------------------------------------------------------------------------

NumpyRandom::NumpyRandom(uint32_t seed) {
  // SeedSequence: hash the entropy into a pool of four words, then draw eight words from it.
  uint32_t a = 0x43b0d7e5u;
  const auto hash = [&a](uint32_t x) {
    x ^= a;
    a *= 0x931e8875u;
    x *= a;
    return x ^ (x >> 16);
  };
  const auto mix = [](uint32_t x, uint32_t y) {
    const uint32_t z = 0xca01f9ddu * x - 0x4973f715u * y;
    return z ^ (z >> 16);
  };
  std::array<uint32_t, 4> pool{};
  for (int i = 0; i < 4; ++i) pool[i] = hash(i == 0 ? seed : 0);
  for (int source = 0; source < 4; ++source) {
    for (int target = 0; target < 4; ++target) {
      if (target != source) pool[target] = mix(pool[target], hash(pool[source]));
    }
  }
  uint32_t b = 0x8b51f9ddu;
  std::array<uint64_t, 4> words{};
  for (int i = 0; i < 8; ++i) {
    uint32_t x = pool[i % 4] ^ b;
    b *= 0x58f38dedu;
    x *= b;
    x ^= x >> 16;
    words[i / 2] |= uint64_t{x} << (32 * (i % 2));
  }
  using U128 = unsigned __int128;
  const U128 initial = (U128{words[0]} << 64) | words[1];
  const U128 sequence = (U128{words[2]} << 64) | words[3];
  increment_ = (sequence << 1) | 1;
  NextU64();
  state_ += initial;
  NextU64();
}

uint64_t NumpyRandom::NextU64() {
  using U128 = unsigned __int128;
  constexpr U128 kMultiplier = (U128{0x2360ed051fc65da4ull} << 64) | 0x4385df649fccf645ull;
  state_ = state_ * kMultiplier + increment_;
  return std::rotr(static_cast<uint64_t>(state_ >> 64) ^ static_cast<uint64_t>(state_),
                   static_cast<int>(state_ >> 122));
}

uint32_t NumpyRandom::NextU32() {
  if (has_half_) {
    has_half_ = false;
    return half_;
  }
  const uint64_t both = NextU64();
  has_half_ = true;
  half_ = static_cast<uint32_t>(both >> 32);
  return static_cast<uint32_t>(both);
}

std::vector<int64_t> NumpyRandom::Permutation(int64_t n) {
  CONDENSE_CHECK(n >= 0 && n < (int64_t{1} << 32), "{}", n);
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (int64_t i = n - 1; i >= 1; --i) {
    const auto mask =
        static_cast<uint32_t>((uint64_t{1} << std::bit_width(static_cast<uint64_t>(i))) - 1);
    uint32_t draw;
    do draw = NextU32() & mask;
    while (draw > static_cast<uint64_t>(i));
    std::swap(order[static_cast<size_t>(i)], order[draw]);
  }
  return order;
}

// --- The project's own ---------------------------------------------------------------------------

Random::Random(uint64_t seed, std::string_view purpose) {
  const std::string digest =
      Sha256().Update("condense-rng-1").UpdateU64(seed).Update(purpose).Finish();
  for (int i = 0; i < 2; ++i) {
    key_[i] = static_cast<uint32_t>(std::stoul(digest.substr(8 * i, 8), nullptr, 16));
  }
}

Random Random::Derive(std::string_view purpose) const {
  return Random((uint64_t{key_[0]} << 32) | key_[1], purpose);
}

uint32_t Random::NextU32() {
  if (used_ == 4) {
    std::array<uint32_t, 4> x{static_cast<uint32_t>(counter_),
                              static_cast<uint32_t>(counter_ >> 32), 0, 0};
    ++counter_;
    std::array<uint32_t, 2> key = key_;
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{0xD2511F53u} * x[0];
      const uint64_t p1 = uint64_t{0xCD9E8D57u} * x[2];
      x = {static_cast<uint32_t>(p1 >> 32) ^ x[1] ^ key[0], static_cast<uint32_t>(p1),
           static_cast<uint32_t>(p0 >> 32) ^ x[3] ^ key[1], static_cast<uint32_t>(p0)};
      key[0] += 0x9E3779B9u;
      key[1] += 0xBB67AE85u;
    }
    block_ = x;
    used_ = 0;
  }
  return block_[used_++];
}

uint64_t Random::NextU64() {
  const uint64_t low = NextU32();
  return low | (uint64_t{NextU32()} << 32);
}

double Random::Uniform() { return static_cast<double>(NextU64() >> 11) * 0x1.0p-53; }

double Random::Normal() {
  if (has_normal_) {
    has_normal_ = false;
    return normal_;
  }
  const double radius = std::sqrt(-2 * std::log(1 - Uniform()));
  const double angle = 2 * std::numbers::pi * Uniform();
  has_normal_ = true;
  normal_ = radius * std::sin(angle);
  return radius * std::cos(angle);
}

uint64_t Random::Below(uint64_t bound) {
  CONDENSE_CHECK(bound >= 1, "empty range");
  const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  uint64_t draw;
  do draw = NextU64();
  while (draw >= limit);
  return draw % bound;
}

std::vector<int64_t> Random::Permutation(int64_t n) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[Below(i)]);
  return order;
}

}  // namespace condense
