#include "tokenizer/components/unigram.h"

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"

namespace condense {

namespace {
constexpr double kUnknownPenalty = 10;
}  // namespace

UnigramModel::UnigramModel(const Vocabulary& vocabulary, std::vector<double> scores,
                           UnigramOptions options)
    : scores_(std::move(scores)), options_(options), ends_(1, -1) {
  for (size_t id = 0; id < scores_.size(); ++id) {
    const std::string* token = vocabulary.Token(static_cast<int64_t>(id));
    CONDENSE_CHECK(token != nullptr, "a score for token {}, which does not exist", id);
    if (!token->empty()) Insert(*token, static_cast<TokenId>(id));
  }
  if (!scores_.empty()) {
    unknown_score_ = *std::min_element(scores_.begin(), scores_.end()) - kUnknownPenalty;
  }
  for (int byte = 0; byte < 256; ++byte) {
    bytes_[byte] = Find(fmt::format("<0x{:02X}>", byte)).value_or(-1);
  }
}

void UnigramModel::Insert(std::string_view token, TokenId id) {
  uint64_t node = 0;
  for (const char byte : token) {
    const uint64_t key = node << 8 | static_cast<uint8_t>(byte);
    const auto [child, is_new] = children_.try_emplace(key, static_cast<uint32_t>(ends_.size()));
    if (is_new) ends_.push_back(-1);
    node = child->second;
  }
  ends_[node] = id;
}

std::optional<TokenId> UnigramModel::Find(std::string_view token) const {
  uint64_t node = 0;
  for (const char byte : token) {
    const auto child = children_.find(node << 8 | static_cast<uint8_t>(byte));
    if (child == children_.end()) return std::nullopt;
    node = child->second;
  }
  if (ends_[node] < 0) return std::nullopt;
  return ends_[node];
}

std::vector<UnigramModel::Path> UnigramModel::BestPaths(std::string_view word) const {
  std::vector<Path> paths(word.size() + 1);
  for (size_t begin = 0; begin < word.size();) {
    const double score = paths[begin].score;
    const auto offer = [&](size_t end, double added, TokenId id) {
      Path& path = paths[end];
      if (path.id == kUnreached || score + added > path.score) path = {score + added, begin, id};
    };
    size_t next = begin;
    NextCodePoint(word, next);
    bool covers_character = false;
    uint64_t node = 0;
    for (size_t end = begin; end < word.size();) {
      const auto child = children_.find(node << 8 | static_cast<uint8_t>(word[end]));
      if (child == children_.end()) break;
      node = child->second;
      ++end;
      if (ends_[node] < 0) continue;
      offer(end, scores_[ends_[node]], ends_[node]);
      covers_character |= end == next;
    }
    if (!covers_character) {
      if (!options_.unknown) {
        throw MakeError<DataError>(
            "the vocabulary has no token for the character 0x{} and names no unknown token",
            ToHex(reinterpret_cast<const uint8_t*>(word.data()) + begin, next - begin));
      }
      offer(next, unknown_score_, *options_.unknown);
    }
    begin = next;
  }
  return paths;
}

// A run of unknown characters can spell a token that no path took.
void UnigramModel::AppendUnknown(std::string_view text, std::vector<TokenId>& ids) const {
  const auto id = [&](char byte) { return bytes_[static_cast<uint8_t>(byte)]; };
  if (const auto token = Find(text)) {
    ids.push_back(*token);
  } else if (options_.byte_fallback &&
             std::all_of(text.begin(), text.end(), [&](char c) { return id(c) >= 0; })) {
    for (const char byte : text) ids.push_back(id(byte));
  } else {
    ids.push_back(*options_.unknown);
  }
}

void UnigramModel::Encode(std::string_view word, std::vector<TokenId>& ids) const {
  const std::vector<Path> paths = BestPaths(word);
  std::vector<size_t> ends;  // from the last token to the first
  for (size_t end = word.size(); end > 0; end = paths[end].begin) ends.push_back(end);
  while (!ends.empty()) {
    const size_t begin = paths[ends.back()].begin;
    size_t end = ends.back();
    ends.pop_back();
    if (paths[end].id != options_.unknown) {
      ids.push_back(paths[end].id);
      continue;
    }
    while (!ends.empty() && paths[ends.back()].id == options_.unknown) {
      end = ends.back();
      ends.pop_back();
    }
    AppendUnknown(word.substr(begin, end - begin), ids);
  }
}

}  // namespace condense
