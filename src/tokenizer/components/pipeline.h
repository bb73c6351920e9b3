// The one implementation of Tokenizer: added tokens, normaliser, pre-tokenizer, BPE or a unigram
// model, and the ids put in front of a text and after it.
//
// Every file format is translated into the parts of this pipeline. They are those of the library
// `tokenizers`, in its order.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/components/added_tokens.h"
#include "tokenizer/components/bpe.h"
#include "tokenizer/components/decoder.h"
#include "tokenizer/components/normalizer.h"
#include "tokenizer/components/pre_tokenizer.h"
#include "tokenizer/components/unigram.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace condense {

struct PipelineParts {
  Vocabulary vocabulary;  // added tokens included
  std::vector<AddedToken> added;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::optional<BpeModel> model;
  std::optional<UnigramModel> unigram;  // where there is no BPE model
  Decoder decoder;
  std::vector<TokenId> prefix, suffix;  // added by SpecialTokens::kAdd
  std::optional<TokenId> bos, eos;
  bool cleans_up_spaces = false;       // in decoding: "it 's ." becomes "it's."
  bool splits_special_tokens = false;  // texts that spell special tokens are encoded as any text

  // Makes added tokens, as the library does of a list of them. A token that the vocabulary lacks is
  // added with its id, or with the next one if its id is -1; DataError if the vocabulary has
  // another id. One that is there already gets the new flags; once special, it stays so and is
  // looked for where it was before.
  void Add(const std::vector<NamedToken>& tokens);

 private:
  TokenId IdOf(const NamedToken& named);
};

// `digest`: of the files that the parts were read from.
std::unique_ptr<Tokenizer> MakePipeline(PipelineParts parts, std::string digest);

}  // namespace condense
