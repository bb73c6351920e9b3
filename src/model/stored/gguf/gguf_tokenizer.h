// The tokenizer in the metadata of a GGUF file, as the files that a model folder has.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "checkpoint/gguf/gguf_file.h"

namespace condense {

// Names and contents. Kind `gpt2` (byte-level BPE) becomes tokenizer.json, with the pre-tokenizer
// that tokenizer.ggml.pre names; kind `llama` (BPE of SentencePiece, with scores) becomes
// tokenizer.model. Both come with tokenizer_config.json and generation_config.json.
//
// DataError for another kind or pre-tokenizer, naming the known ones; for a vocabulary that has not
// `vocab_size` tokens, or one twice; for a merge or a special token that names no token.
std::map<std::string, std::string> TokenizerOfGguf(const GgufFile& file, int64_t vocab_size);

// The ids of BOS and EOS as config.json has them. DataError for a vocabulary that is not whole.
nlohmann::json SpecialIdsOfGguf(const GgufFile& file, int64_t vocab_size);

}  // namespace condense
