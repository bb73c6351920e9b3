// Vocabularies of model folders in the metadata of a GGUF file.
#pragma once

#include <nlohmann/json.hpp>

#include "support/gguf_model.h"

namespace condense {

// The byte-level BPE of a folder's tokenizer.json, as llama.cpp's converter stores it.
inline void AddByteLevelVocabulary(GgufBytes& file, const std::filesystem::path& folder) {
  const nlohmann::json tokenizer = ReadJson(folder / "tokenizer.json");
  const nlohmann::json& vocabulary = tokenizer.at("model").at("vocab");
  std::vector<std::string> tokens(vocabulary.size() + tokenizer.at("added_tokens").size());
  std::vector<int32_t> types(tokens.size(), 1);
  for (const auto& [token, id] : vocabulary.items()) tokens[id.get<size_t>()] = token;
  for (const nlohmann::json& added : tokenizer.at("added_tokens")) {
    tokens[added.at("id").get<size_t>()] = added.at("content").get<std::string>();
    types[added.at("id").get<size_t>()] = 3;
  }
  std::vector<std::string> merges;
  for (const nlohmann::json& merge : tokenizer.at("model").at("merges")) {
    merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  AddText(file, "tokenizer.ggml.model", "gpt2");
  AddText(file, "tokenizer.ggml.pre", "llama-bpe");
  AddTexts(file, "tokenizer.ggml.tokens", tokens);
  AddNumbers(file, "tokenizer.ggml.token_type", GgufKind::kInt32, types);
  AddTexts(file, "tokenizer.ggml.merges", merges);
  AddInteger(file, "tokenizer.ggml.bos_token_id", 4094);
  AddInteger(file, "tokenizer.ggml.eos_token_id", 4095);
}

// The SentencePiece vocabulary of a folder's tokenizer.json. In a trained one, scores fall with ids.
inline void AddScoredVocabulary(GgufBytes& file, const std::filesystem::path& folder) {
  const nlohmann::json vocabulary = ReadJson(folder / "tokenizer.json").at("model").at("vocab");
  std::vector<std::string> tokens(vocabulary.size());
  std::vector<int32_t> types(tokens.size(), 1);
  std::vector<float> scores(tokens.size());
  for (const auto& [token, value] : vocabulary.items()) {
    const auto id = value.get<size_t>();
    tokens[id] = token;
    scores[id] = -static_cast<float>(id);
    if (token.starts_with("<0x") && token.size() == 6) types[id] = 6;
  }
  types[0] = 2, types[1] = types[2] = 3;
  AddText(file, "tokenizer.ggml.model", "llama");
  AddTexts(file, "tokenizer.ggml.tokens", tokens);
  AddNumbers(file, "tokenizer.ggml.token_type", GgufKind::kInt32, types);
  AddNumbers(file, "tokenizer.ggml.scores", GgufKind::kFloat32, scores);
  AddInteger(file, "tokenizer.ggml.unknown_token_id", 0);
  AddInteger(file, "tokenizer.ggml.bos_token_id", 1);
  AddInteger(file, "tokenizer.ggml.eos_token_id", 2);
}

}  // namespace condense
