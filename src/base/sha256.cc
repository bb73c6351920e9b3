#include "base/sha256.h"

#include <openssl/evp.h>

#include "base/error.h"
#include "base/file.h"
#include "base/strings.h"

namespace condense {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  CONDENSE_CHECK(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1, "no SHA-256");
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

Sha256& Sha256::Update(const void* bytes, size_t count) {
  EVP_DigestUpdate(state_->context, bytes, count);
  return *this;
}

Sha256& Sha256::UpdateU32(uint32_t value) {
  uint8_t bytes[4];
  for (int i = 0; i < 4; ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * i));
  return Update(bytes, sizeof bytes);
}

Sha256& Sha256::UpdateU64(uint64_t value) {
  return UpdateU32(static_cast<uint32_t>(value)).UpdateU32(static_cast<uint32_t>(value >> 32));
}

std::string Sha256::Finish() {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  EVP_DigestFinal_ex(state_->context, digest, &length);
  return ToHex(digest, length);
}

std::string Sha256Hex(std::string_view bytes) { return Sha256().Update(bytes).Finish(); }

std::string Sha256File(const std::filesystem::path& path) {
  const MappedFile file(path);
  return Sha256Hex(file.bytes());
}

}  // namespace condense
