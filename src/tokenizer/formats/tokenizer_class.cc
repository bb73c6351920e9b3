#include "tokenizer/formats/tokenizer_class.h"

#include <algorithm>
#include <iterator>

namespace condense {

namespace {

constexpr const char* kEndOfText = "<|endoftext|>";

const std::vector<TokenizerClass>& Classes() {
  static const std::vector<TokenizerClass> classes = {
      {.name = "LlamaTokenizer",
       .roles = {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}},
       .replaces_template = true,
       .adds_bos = true,
       .keeps_prefix_space = true,
       .heeds_spaces = true},
      {.name = "CodeLlamaTokenizer",
       .roles = {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}},
       .additional = {{"prefix_token", "\u2581<PRE>"},
                      {"middle_token", "\u2581<MID>"},
                      {"suffix_token", "\u2581<SUF>"},
                      {"eot_token", "\u2581<EOT>"}},
       .replaces_template = true,
       .adds_bos = true},
      {.name = "GemmaTokenizer",
       .roles = {{"bos_token", "<bos>"},
                 {"eos_token", "<eos>"},
                 {"unk_token", "<unk>"},
                 {"pad_token", "<pad>"}},
       .replaces_template = true,
       .adds_bos = true},
      {.name = "CohereTokenizer",
       .roles = {{"bos_token", "<BOS_TOKEN>"},
                 {"eos_token", "<|END_OF_TURN_TOKEN|>"},
                 {"unk_token", "<UNK>"}},
       .replaces_template = true,
       .adds_bos = true},
      {.name = "GPTNeoXTokenizer",
       .roles = {{"bos_token", kEndOfText},
                 {"eos_token", kEndOfText},
                 {"unk_token", kEndOfText},
                 {"pad_token", ""}},
       .replaces_template = true},
      {.name = "GPT2Tokenizer",
       .roles = {{"bos_token", kEndOfText}, {"eos_token", kEndOfText}, {"unk_token", kEndOfText}}},
      {.name = "CodeGenTokenizer",
       .roles = {{"bos_token", kEndOfText}, {"eos_token", kEndOfText}, {"unk_token", kEndOfText}}},
      {.name = "Qwen2Tokenizer",
       .roles = {{"eos_token", kEndOfText}, {"unk_token", kEndOfText}, {"pad_token", kEndOfText}},
       .makes_tokens_of_names = true},
      {.name = "PreTrainedTokenizer"}};
  return classes;
}

struct ModelTypes {
  std::string_view tokenizer_class;
  std::vector<std::string_view> model_types;
};

const std::vector<ModelTypes>& Models() {
  static const std::vector<ModelTypes> models = {
      {"LlamaTokenizer",
       {"llama", "mistral", "mixtral", "ministral", "arcee", "deepseek_v2", "deepseek_v3",
        "diffllama", "jamba", "jetmoe", "persimmon", "phi3", "phimoe", "zamba", "zamba2"}},
      {"CodeLlamaTokenizer", {"code_llama"}},
      {"GemmaTokenizer", {"gemma", "gemma2", "gemma3", "gemma3_text", "recurrent_gemma"}},
      {"CohereTokenizer", {"cohere", "cohere2"}},
      {"GPTNeoXTokenizer",
       {"gpt_neox", "mamba", "mamba2", "mpt", "olmo", "olmo2", "olmoe", "rwkv", "stablelm"}},
      {"GPT2Tokenizer",
       {"opt", "gpt2", "gpt_bigcode", "gpt_neo", "gptj", "starcoder2", "dbrx", "exaone4", "olmo3"}},
      {"CodeGenTokenizer", {"codegen", "phi"}},
      {"Qwen2Tokenizer", {"qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "qwen3_next"}},
      {"PreTrainedTokenizer",
       {"falcon", "glm", "glm4", "glm4_moe", "gpt_oss", "helium", "nemotron", "smollm3"}}};
  return models;
}

}  // namespace

const TokenizerClass* FindTokenizerClass(std::string_view name) {
  if (name.ends_with("Fast")) name.remove_suffix(4);
  const auto found = std::find_if(Classes().begin(), Classes().end(),
                                  [&](const auto& each) { return each.name == name; });
  return found == Classes().end() ? nullptr : &*found;
}

std::string_view ClassOfModelType(std::string_view model_type) {
  for (const ModelTypes& each : Models()) {
    const auto& types = each.model_types;
    if (std::find(types.begin(), types.end(), model_type) != types.end()) {
      return each.tokenizer_class;
    }
  }
  return {};
}

std::vector<std::string> TokenizerClassNames() {
  std::vector<std::string> names;
  std::transform(Classes().begin(), Classes().end(), std::back_inserter(names),
                 [](const auto& each) { return std::string(each.name); });
  return names;
}

}  // namespace condense
