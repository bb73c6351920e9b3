#include "tokenizer/components/pipeline.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/strings.h"

namespace condense {

namespace {

// Those that are looked for in the text as it is, or in the normalised text.
std::vector<AddedToken> Select(const PipelineParts& parts, bool AddedToken::*in_text) {
  std::vector<AddedToken> selected;
  for (const AddedToken& token : parts.added) {
    if (parts.splits_special_tokens && token.special) continue;
    if (token.*in_text) selected.push_back(token);
  }
  return selected;
}

// As transformers has it.
std::string CleanedUp(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> kSteps[] = {
      {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
      {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [before, after] : kSteps) {
    for (size_t at = 0; (at = text.find(before, at)) != text.npos; at += after.size()) {
      text.replace(at, before.size(), after);
    }
  }
  return text;
}

class PipelineTokenizer final : public Tokenizer {
 public:
  PipelineTokenizer(PipelineParts parts, std::string digest)
      : parts_(std::move(parts)),
        digest_(std::move(digest)),
        raw_matcher_(Select(parts_, &AddedToken::in_raw_text), &AddedToken::content),
        normalized_matcher_(
            Select(parts_, &AddedToken::in_normalized_text),
            [&](const AddedToken& token) { return parts_.normalizer.Apply(token.content); }) {
    for (const AddedToken& token : parts_.added) {
      if (token.special) special_.insert(token.id);
    }
  }

  std::vector<TokenId> Encode(std::string_view text, SpecialTokens special) const override {
    if (const auto byte = InvalidUtf8At(text)) {
      throw MakeError<DataError>("the text to be tokenized is not valid UTF-8 at byte {}", *byte);
    }
    std::vector<TokenId> ids;
    std::deque<std::string> storage;
    std::optional<BpeEncoder> bpe;
    if (parts_.model) bpe.emplace(*parts_.model, ids);
    const auto encode = [&](std::string_view word) {
      bpe ? bpe->Append(word) : parts_.unigram->Encode(word, ids);
    };
    if (special == SpecialTokens::kAdd) ids = parts_.prefix;
    for (const TextSegment& segment : raw_matcher_.Split(text)) {
      if (segment.id >= 0) {
        ids.push_back(segment.id);
      } else {
        EncodeSegment({segment.text, segment.text.data() == text.data()}, storage, encode, ids);
      }
    }
    if (special == SpecialTokens::kAdd) {
      ids.insert(ids.end(), parts_.suffix.begin(), parts_.suffix.end());
    }
    return ids;
  }

  std::string Decode(std::span<const TokenId> ids, DecodeOptions options) const override {
    std::vector<std::string> tokens;
    tokens.reserve(ids.size());
    for (const TokenId id : ids) {
      const std::string* token = parts_.vocabulary.Token(id);
      if (token == nullptr) {
        throw MakeError<DataError>("cannot decode: the vocabulary (ids 0 to {}) has no token {}",
                                   size() - 1, id);
      }
      if (!options.skip_special || !special_.contains(id)) tokens.push_back(*token);
    }
    std::string text = parts_.decoder.Decode(std::move(tokens));
    return parts_.cleans_up_spaces ? CleanedUp(std::move(text)) : text;
  }

  int64_t size() const override { return parts_.vocabulary.size(); }
  std::optional<TokenId> bos() const override { return parts_.bos; }
  std::optional<TokenId> eos() const override { return parts_.eos; }
  const std::string& digest() const override { return digest_; }

 private:
  void EncodeSegment(Word segment, std::deque<std::string>& storage,
                     const std::function<void(std::string_view)>& encode,
                     std::vector<TokenId>& ids) const {
    size_t from_first = 1;
    if (!parts_.normalizer.IsIdentity()) {
      NormalizedText normalized = parts_.normalizer.Normalize(segment.text);
      segment.text = storage.emplace_back(std::move(normalized.text));
      from_first = normalized.from_first;
    }
    for (const TextSegment& part : normalized_matcher_.Split(segment.text)) {
      if (part.id >= 0) {
        ids.push_back(part.id);
        continue;
      }
      const auto begin = static_cast<size_t>(part.text.data() - segment.text.data());
      const bool starts_text = segment.starts_text && begin < from_first;
      std::vector<Word> words = {{part.text, starts_text}};
      parts_.pre_tokenizer.Apply(words, storage);
      for (const Word& word : words) encode(word.text);
    }
  }

  PipelineParts parts_;
  std::string digest_;
  AddedTokenMatcher raw_matcher_, normalized_matcher_;
  std::unordered_set<TokenId> special_;
};

}  // namespace

TokenId PipelineParts::IdOf(const NamedToken& named) {
  const auto known = vocabulary.Find(named.token.content);
  if (known && (named.token.id < 0 || named.token.id == *known)) return *known;
  const int64_t id = named.token.id < 0 ? vocabulary.size() : named.token.id;
  vocabulary.Add(named.token.content, id, named.where);
  return static_cast<TokenId>(id);
}

void PipelineParts::Add(const std::vector<NamedToken>& tokens) {
  // What makes a token special counts before the rest of the list.
  std::unordered_map<std::string_view, bool> special;
  for (const NamedToken& named : tokens) {
    if (named.token.special) special.emplace(named.token.content, named.token.normalized);
  }
  const std::vector<AddedToken> before = added;
  for (const NamedToken& named : tokens) {
    if (named.token.content.empty()) continue;
    const TokenId id = IdOf(named);
    auto entry = std::find_if(added.begin(), added.end(),
                              [&](const AddedToken& other) { return other.id == id; });
    if (entry == added.end()) {
      entry = added.insert(added.end(), {.content = named.token.content, .id = id});
    }
    const auto look_for = [&](bool normalized) {
      (normalized ? entry->in_normalized_text : entry->in_raw_text) = true;
    };
    const auto made_special = special.find(named.token.content);
    if (made_special != special.end() && !entry->special) {
      entry->special = true;
      look_for(made_special->second);
    }
    const bool is_known = std::any_of(before.begin(), before.end(), [&](const AddedToken& other) {
      return other.id == id && HaveSameFlags(other, named.token);
    });
    if (is_known && (entry->special || !named.token.special)) continue;
    entry->normalized = named.token.normalized;
    entry->lstrip = named.token.lstrip;
    entry->rstrip = named.token.rstrip;
    entry->single_word = named.token.single_word;
    if (!entry->special) look_for(named.token.normalized);
  }
}

std::unique_ptr<Tokenizer> MakePipeline(PipelineParts parts, std::string digest) {
  return std::make_unique<PipelineTokenizer>(std::move(parts), std::move(digest));
}

}  // namespace condense
