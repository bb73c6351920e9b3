// Token strings and their ids, each unique.
//
// Byte-level vocabularies keep their tokens in the printable alphabet of GPT-2, in which a byte is
// one character (byte_alphabet.h); the others keep plain UTF-8.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace condense {

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

template <class Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

class Vocabulary {
 public:
  Vocabulary() = default;
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  // DataError, beginning with `where`, if the token or the id is taken or the id is out of range.
  void Add(std::string_view token, int64_t id, std::string_view where);
  std::optional<TokenId> Find(std::string_view token) const;
  // Null where no token has the id.
  const std::string* Token(int64_t id) const;
  // One more than the largest id.
  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }
  const StringMap<TokenId>& ids() const { return ids_; }

 private:
  StringMap<TokenId> ids_;
  std::vector<const std::string*> tokens_;  // the keys of ids_, whose addresses are stable
};

}  // namespace condense
