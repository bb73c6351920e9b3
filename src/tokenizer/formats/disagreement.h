// Warnings about settings files that say different things: one line each, once in a process, with
// the file that holds as AutoTokenizer of transformers 4.57 has it.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/components/added_tokens.h"
#include "tokenizer/components/pipeline.h"

namespace condense {

struct TokenizerSettings;

void SayUnknownClass(const std::string& name);

// `config_holds`: tokenizer_config.json does, else special_tokens_map.json.
void SayDifferentNames(const std::map<std::string, NamedToken>& config,
                       const std::map<std::string, NamedToken>& map, bool config_holds);

// Ids of tokens in added_tokens_decoder, which holds if it is there, and in added_tokens.json.
void SayDifferentIds(const std::vector<NamedToken>& decoder, const std::vector<NamedToken>& file,
                     bool decoder_holds);

// What tokenizer.json puts around a text (`parts` as read from it) and what the settings ask for.
void SayDifferentTemplate(const TokenizerSettings& settings, const PipelineParts& parts);

// What transformers would put in front of a text in a folder without settings.
void SayImpliedClass(const TokenizerSettings& settings, const std::string& path,
                     const PipelineParts& parts);

// Tokens of the settings whose ids are other than the file says, or that the vocabulary lacked.
// `size`: of the vocabulary before they were added.
void SayNewIds(const std::vector<NamedToken>& tokens, int64_t size, const PipelineParts& parts);

}  // namespace condense
