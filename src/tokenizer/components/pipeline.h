// The one Tokenizer: added tokens, normaliser, pre-tokenizer, BPE, and the ids put in front and
// behind.
//
// Every file format is translated into the parts of this pipeline, which are those of the library
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
#include "tokenizer/formats/folder.h"
#include "tokenizer/formats/settings.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace condense {

struct PipelineParts {
  Vocabulary vocabulary;  // added tokens included
  std::vector<AddedToken> added;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::optional<BpeModel> model;
  Decoder decoder;
  std::vector<TokenId> prefix, suffix;  // added by SpecialTokens::kAdd
  std::optional<TokenId> bos, eos;

  // Makes `named` an added token. If it has an id, a token that the vocabulary lacks is entered
  // with it; if it has none, or the vocabulary has another, that is a DataError.
  TokenId Define(const NamedToken& named);
};

// Adds the tokens that the settings list and name, sets BOS and EOS, and puts them into prefix and
// suffix where add_bos_token and add_eos_token say so.
void ApplySettings(const TokenizerSettings& settings, PipelineParts& parts);

std::unique_ptr<Tokenizer> MakePipeline(PipelineParts parts, TokenizerFolder& folder);

}  // namespace condense
