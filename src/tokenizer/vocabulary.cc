#include "tokenizer/vocabulary.h"

#include "base/error.h"

namespace condense {

namespace {
// Far above any vocabulary in use; an id beyond it is a slip that would cost gigabytes.
constexpr int64_t kLargestId = (int64_t{1} << 24) - 1;
}  // namespace

void Vocabulary::Add(std::string_view token, int64_t id, std::string_view where) {
  if (id < 0 || id > kLargestId) {
    throw MakeError<DataError>("{}: token \"{}\" has the id {}; expected 0 to {}", where, token, id,
                               kLargestId);
  }
  if (const std::string* owner = Token(id)) {
    throw MakeError<DataError>("{}: the id {} belongs to two tokens, \"{}\" and \"{}\"", where, id,
                               *owner, token);
  }
  const auto [entry, added] = ids_.emplace(token, static_cast<TokenId>(id));
  if (!added) {
    throw MakeError<DataError>("{}: the token \"{}\" has two ids, {} and {}", where, token,
                               entry->second, id);
  }
  if (id >= size()) tokens_.resize(id + 1, nullptr);
  tokens_[id] = &entry->first;
}

std::optional<TokenId> Vocabulary::Find(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const std::string* Vocabulary::Token(int64_t id) const {
  return id >= 0 && id < size() ? tokens_[id] : nullptr;
}

}  // namespace condense
