#include "tokenizer/components/pipeline.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <unordered_set>

#include "base/error.h"
#include "base/strings.h"

namespace condense {

namespace {

std::vector<AddedToken> Select(const std::vector<AddedToken>& tokens, bool normalized) {
  std::vector<AddedToken> selected;
  std::copy_if(tokens.begin(), tokens.end(), std::back_inserter(selected),
               [&](const AddedToken& token) { return token.normalized == normalized; });
  return selected;
}

class PipelineTokenizer final : public Tokenizer {
 public:
  PipelineTokenizer(PipelineParts parts, std::string digest)
      : parts_(std::move(parts)),
        digest_(std::move(digest)),
        raw_matcher_(Select(parts_.added, false), &AddedToken::content),
        normalized_matcher_(Select(parts_.added, true), [&](const AddedToken& token) {
          return parts_.normalizer.Apply(token.content);
        }) {
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
    return parts_.decoder.Decode(std::move(tokens));
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

TokenId PipelineParts::Define(const NamedToken& named) {
  AddedToken token = named.token;
  const auto known = vocabulary.Find(token.content);
  if (!known && token.id < 0) {
    throw MakeError<DataError>("{}: names the token \"{}\", which the vocabulary lacks",
                               named.where, token.content);
  }
  if (!known || (token.id >= 0 && *known != token.id)) {
    vocabulary.Add(token.content, token.id, named.where);
  } else {
    token.id = *known;
  }
  const auto before = std::find_if(added.begin(), added.end(),
                                   [&](const AddedToken& other) { return other.id == token.id; });
  if (before == added.end()) {
    added.push_back(token);
  } else {
    if (named.sets_flags) {
      before->lstrip = token.lstrip;
      before->rstrip = token.rstrip;
      before->single_word = token.single_word;
      if (!before->special) before->normalized &= token.normalized;
    }
    before->special |= token.special;
  }
  return token.id;
}

std::unique_ptr<Tokenizer> MakePipeline(PipelineParts parts, std::string digest) {
  return std::make_unique<PipelineTokenizer>(std::move(parts), std::move(digest));
}

}  // namespace condense
