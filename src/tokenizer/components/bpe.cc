#include "tokenizer/components/bpe.h"

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "base/strings.h"
#include "tokenizer/components/byte_alphabet.h"

namespace condense {

namespace {

constexpr uint32_t kNone = 0xFFFFFFFF;
constexpr uint64_t kFree = ~uint64_t{0};  // no pair has this key, as ids are not negative
constexpr std::string_view kSpaceMark = "\u2581";

uint64_t PairKey(TokenId left, TokenId right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// Position of the first space mark that follows another character.
size_t InnerSpaceMark(std::string_view text) {
  for (size_t mark = text.find(kSpaceMark); mark != text.npos;
       mark = text.find(kSpaceMark, mark + kSpaceMark.size())) {
    if (mark > 0 && !text.substr(0, mark).ends_with(kSpaceMark)) return mark;
  }
  return text.npos;
}

}  // namespace

BpeModel::JoinTable::JoinTable(const std::vector<BpeMerge>& merges) {
  const size_t capacity = std::bit_ceil(2 * merges.size() + 2);
  shift_ = 64 - std::countr_zero(capacity);
  slots_.assign(capacity, {kFree, {}});
  for (const BpeMerge& merge : merges) {
    const uint64_t key = PairKey(merge.left, merge.right);
    size_t slot = FirstSlot(key);
    while (slots_[slot].key != kFree && slots_[slot].key != key) slot = (slot + 1) % capacity;
    slots_[slot] = {key, {merge.result, merge.rank}};
  }
}

const BpeModel::Join* BpeModel::JoinTable::Find(TokenId left, TokenId right) const {
  const uint64_t key = PairKey(left, right);
  for (size_t slot = FirstSlot(key);; slot = (slot + 1) & (slots_.size() - 1)) {
    if (slots_[slot].key == key) return &slots_[slot].join;
    if (slots_[slot].key == kFree) return nullptr;
  }
}

BpeModel::BpeModel(const Vocabulary& vocabulary, const std::vector<BpeMerge>& merges,
                   BpeOptions options)
    : options_(options), joins_(merges) {
  IndexBytes(vocabulary);
  if (!options_.byte_level) IndexCharacters(vocabulary);
  if (options_.ignore_merges) {
    for (const auto& [token, id] : vocabulary.ids()) {
      if (!options_.byte_level) {
        whole_words_.emplace(token, id);
      } else if (const auto word = DecodeBytes(token)) {
        whole_words_.emplace(*word, id);
      }
    }
  }
  cut_before_space_marks_ = !options_.byte_level && WordsEndBeforeSpaceMarks(vocabulary, merges);
}

void BpeModel::IndexBytes(const Vocabulary& vocabulary) {
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    const std::string token =
        options_.byte_level ? EncodeBytes({&raw, 1}) : fmt::format("<0x{:02X}>", byte);
    bytes_[byte] = vocabulary.Find(token).value_or(-1);
  }
}

void BpeModel::IndexCharacters(const Vocabulary& vocabulary) {
  for (const auto& [token, id] : vocabulary.ids()) {
    if (token.empty()) continue;
    size_t position = 0;
    const char32_t character = NextCodePoint(token, position);
    if (position == token.size()) characters_.emplace(character, id);
  }
}

bool BpeModel::WordsEndBeforeSpaceMarks(const Vocabulary& vocabulary,
                                        const std::vector<BpeMerge>& merges) const {
  if (!vocabulary.Find(kSpaceMark)) return false;
  return std::none_of(merges.begin(), merges.end(), [&](const BpeMerge& merge) {
    return InnerSpaceMark(*vocabulary.Token(merge.result)) != std::string_view::npos;
  });
}

void BpeEncoder::Append(std::string_view word) {
  if (model_.options_.ignore_merges) {
    const auto whole = model_.whole_words_.find(word);
    if (whole != model_.whole_words_.end()) {
      out_.push_back(whole->second);
      return;
    }
  }
  if (!model_.cut_before_space_marks_) return AppendCached(word);
  for (size_t begin = 0; begin < word.size();) {
    const std::string_view rest = word.substr(begin);
    const size_t length = std::min(InnerSpaceMark(rest), rest.size());
    AppendCached(rest.substr(0, length));
    begin += length;
  }
}

void BpeEncoder::AppendCached(std::string_view word) {
  constexpr size_t kLongestRemembered = 256;  // longer words are rarely repeated
  if (word.size() > kLongestRemembered) return AppendMerged(word);
  const auto [entry, is_new] = seen_.try_emplace(word);
  if (is_new) {
    const size_t begin = out_.size();
    AppendMerged(word);
    entry->second = {begin, out_.size() - begin};
    return;
  }
  const Span span = entry->second;
  out_.reserve(std::max(out_.capacity(), std::bit_ceil(out_.size() + span.count)));
  std::copy_n(out_.begin() + span.begin, span.count, std::back_inserter(out_));
}

void BpeEncoder::AppendMerged(std::string_view word) {
  symbols_.clear();
  last_was_unknown_ = false;
  if (model_.options_.byte_level) {
    SplitBytes(word);
  } else {
    SplitCharacters(word);
  }
  JoinAll();
  for (uint32_t i = symbols_.empty() ? kNone : 0; i != kNone; i = symbols_[i].next) {
    out_.push_back(symbols_[i].id);
  }
}

void BpeEncoder::AddSymbol(TokenId id) {
  const auto position = static_cast<uint32_t>(symbols_.size());
  if (position > 0) symbols_.back().next = position;
  symbols_.push_back({id, position == 0 ? kNone : position - 1, kNone});
}

void BpeEncoder::SplitBytes(std::string_view word) {
  for (size_t i = 0; i < word.size(); ++i) {
    const TokenId id = model_.bytes_[static_cast<uint8_t>(word[i])];
    if (id >= 0) {
      AddSymbol(id);
      last_was_unknown_ = false;
    } else {
      AddUnknown();
    }
  }
}

void BpeEncoder::SplitCharacters(std::string_view word) {
  for (size_t position = 0; position < word.size();) {
    const size_t begin = position;
    const auto found = model_.characters_.find(NextCodePoint(word, position));
    const std::string_view character = word.substr(begin, position - begin);
    if (found != model_.characters_.end()) {
      AddSymbol(found->second);
    } else if (!AddByteTokens(character)) {
      AddUnknown();
      continue;
    }
    last_was_unknown_ = false;
  }
}

bool BpeEncoder::AddByteTokens(std::string_view character) {
  const auto id = [&](char byte) { return model_.bytes_[static_cast<uint8_t>(byte)]; };
  if (!model_.options_.byte_fallback) return false;
  if (std::any_of(character.begin(), character.end(), [&](char c) { return id(c) < 0; })) {
    return false;
  }
  for (const char byte : character) AddSymbol(id(byte));
  return true;
}

void BpeEncoder::AddUnknown() {
  if (!model_.options_.unknown) return;
  if (last_was_unknown_ && model_.options_.fuse_unknown) return;
  AddSymbol(*model_.options_.unknown);
  last_was_unknown_ = true;
}

// Puts the pair that begins at `position` on the heap, if it can be joined.
void BpeEncoder::Consider(uint32_t position) {
  const Symbol& left = symbols_[position];
  if (left.next == kNone) return;
  const Symbol& right = symbols_[left.next];
  const BpeModel::Join* join = model_.joins_.Find(left.id, right.id);
  if (join != nullptr) heap_.push_back({join->rank, position, left.id, right.id});
}

// Skips candidates whose symbols have changed since they were put on the heap.
void BpeEncoder::JoinAll() {
  CONDENSE_CHECK(symbols_.size() < kNone, "a word of {} symbols", symbols_.size());
  constexpr TokenId kJoinedAway = -1;
  heap_.clear();
  for (uint32_t i = 0; i < symbols_.size(); ++i) Consider(i);
  std::make_heap(heap_.begin(), heap_.end());
  const auto push = [&](uint32_t position) {
    const size_t before = heap_.size();
    Consider(position);
    if (heap_.size() > before) std::push_heap(heap_.begin(), heap_.end());
  };
  while (!heap_.empty()) {
    const Candidate best = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end());
    heap_.pop_back();
    Symbol& left = symbols_[best.position];
    if (left.id != best.left || left.next == kNone || symbols_[left.next].id != best.right)
      continue;
    Symbol& right = symbols_[left.next];
    left.id = model_.joins_.Find(best.left, best.right)->result;
    right.id = kJoinedAway;
    left.next = right.next;
    if (left.next != kNone) symbols_[left.next].previous = best.position;
    push(best.position);
    if (left.previous != kNone) push(left.previous);
  }
}

}  // namespace condense
