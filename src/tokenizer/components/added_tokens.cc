#include "tokenizer/components/added_tokens.h"

#include <algorithm>

#include "base/strings.h"
#include "tokenizer/components/characters.h"

namespace condense {

namespace {

char32_t LastCodePoint(std::string_view text) {
  size_t position = text.size() - 1;
  while (position > 0 && (text[position] & 0xC0) == 0x80) --position;
  return NextCodePoint(text, position);
}

char32_t FirstCodePoint(std::string_view text) {
  size_t position = 0;
  return NextCodePoint(text, position);
}

size_t TrimmedEnd(std::string_view text) {
  while (!text.empty()) {
    const char32_t last = LastCodePoint(text);
    if (!IsWhiteSpace(last)) break;
    std::string bytes;
    AppendUtf8(last, bytes);
    text.remove_suffix(bytes.size());
  }
  return text.size();
}

size_t LeadingSpace(std::string_view text) {
  size_t position = 0;
  while (position < text.size()) {
    size_t next = position;
    if (!IsWhiteSpace(NextCodePoint(text, next))) break;
    position = next;
  }
  return position;
}

bool StandsAlone(std::string_view text, size_t begin, size_t end) {
  return (begin == 0 || !IsWordCharacter(LastCodePoint(text.substr(0, begin)))) &&
         (end == text.size() || !IsWordCharacter(FirstCodePoint(text.substr(end))));
}

}  // namespace

bool HaveSameFlags(const AddedToken& a, const AddedToken& b) {
  return a.normalized == b.normalized && a.lstrip == b.lstrip && a.rstrip == b.rstrip &&
         a.single_word == b.single_word;
}

AddedToken ReadAddedToken(const JsonNode& node) {
  AddedToken token;
  token.content = node.At("content").String();
  token.special = node.BoolOr("special", false);
  token.normalized_if_plain = !node.Find("normalized");
  token.normalized = node.BoolOr("normalized", !token.special);
  token.lstrip = node.BoolOr("lstrip", false);
  token.rstrip = node.BoolOr("rstrip", false);
  token.single_word = node.BoolOr("single_word", false);
  return token;
}

AddedTokenMatcher::AddedTokenMatcher(const std::vector<AddedToken>& tokens,
                                     const std::function<std::string(const AddedToken&)>& spelling)
    : tokens_(tokens), ends_(1, -1) {
  for (size_t i = 0; i < tokens_.size(); ++i) Insert(spelling(tokens_[i]), i);
}

void AddedTokenMatcher::Insert(std::string_view spelling, size_t token) {
  if (spelling.empty()) return;
  first_bytes_[static_cast<uint8_t>(spelling[0])] = true;
  uint64_t node = 0;
  for (const char byte : spelling) {
    const uint64_t key = node << 8 | static_cast<uint8_t>(byte);
    const auto [child, is_new] = children_.try_emplace(key, static_cast<uint32_t>(ends_.size()));
    if (is_new) ends_.push_back(-1);
    node = child->second;
  }
  if (ends_[node] < 0) ends_[node] = static_cast<int64_t>(token);
}

AddedTokenMatcher::Match AddedTokenMatcher::Find(std::string_view text, size_t position) const {
  for (; position < text.size(); ++position) {
    if (!first_bytes_[static_cast<uint8_t>(text[position])]) continue;
    Match longest{position, position, nullptr};
    uint64_t node = 0;
    for (size_t end = position; end < text.size(); ++end) {
      const auto child = children_.find(node << 8 | static_cast<uint8_t>(text[end]));
      if (child == children_.end()) break;
      node = child->second;
      if (ends_[node] >= 0) longest = {position, end + 1, &tokens_[ends_[node]]};
    }
    if (longest.token != nullptr) return longest;
  }
  return {text.size(), text.size(), nullptr};
}

std::vector<TextSegment> AddedTokenMatcher::Split(std::string_view text) const {
  std::vector<TextSegment> segments;
  size_t covered = 0;
  for (size_t position = 0;;) {
    auto [begin, end, token] =
        empty() ? Match{text.size(), text.size(), nullptr} : Find(text, position);
    if (token == nullptr) break;
    position = end;
    if (token->single_word && !StandsAlone(text, begin, end)) continue;
    // The token before may have taken white space (rstrip) that this one begins with. As in the
    // reference, it is there twice unless this one has lstrip.
    if (token->lstrip) begin = std::max(TrimmedEnd(text.substr(0, begin)), covered);
    if (token->rstrip) end += LeadingSpace(text.substr(end));
    if (begin >= end) continue;
    if (covered < begin) segments.push_back({text.substr(covered, begin - covered)});
    segments.push_back({text.substr(begin, end - begin), token->id});
    covered = end;
  }
  if (covered < text.size()) segments.push_back({text.substr(covered)});
  return segments;
}

}  // namespace condense
