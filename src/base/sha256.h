// SHA-256, for digests of weights, texts, ids and specifications.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace condense {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  Sha256& Update(const void* bytes, size_t count);
  Sha256& Update(std::string_view bytes) { return Update(bytes.data(), bytes.size()); }
  // Little-endian bytes of a number.
  Sha256& UpdateU32(uint32_t value);
  Sha256& UpdateU64(uint64_t value);
  // Lower-case hexadecimal digest; the object must not be used afterwards.
  std::string Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string Sha256Hex(std::string_view bytes);
// Throws DataError when the file cannot be read.
std::string Sha256File(const std::filesystem::path& path);

}  // namespace condense
