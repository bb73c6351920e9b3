#include "model/stored/gguf/gguf_pre_tokenizers.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

namespace condense {
namespace {

using Json = nlohmann::json;

#define CONDENSE_SPACES R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define CONDENSE_CONTRACTIONS R"((?i:'s|'t|'re|'ve|'m|'ll|'d))"
#define CONDENSE_UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define CONDENSE_LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"

constexpr const char* kThreeDigits = CONDENSE_CONTRACTIONS
    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)" CONDENSE_SPACES;
constexpr const char* kOneDigit = CONDENSE_CONTRACTIONS
    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)" CONDENSE_SPACES;

// A word goes on from large letters to small ones, not back.
constexpr const char* kTekken = R"([^\r\n\p{L}\p{N}]?)" CONDENSE_UPPER "*" CONDENSE_LOWER
                                R"(+|[^\r\n\p{L}\p{N}]?)" CONDENSE_UPPER "+" CONDENSE_LOWER
                                R"(*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*)" CONDENSE_SPACES;
constexpr const char* kGpt4o =
    R"([^\r\n\p{L}\p{N}]?)" CONDENSE_UPPER "*" CONDENSE_LOWER "+" CONDENSE_CONTRACTIONS
    R"(?|[^\r\n\p{L}\p{N}]?)" CONDENSE_UPPER "+" CONDENSE_LOWER "*" CONDENSE_CONTRACTIONS
    R"(?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*)" CONDENSE_SPACES;

#undef CONDENSE_SPACES
#undef CONDENSE_CONTRACTIONS
#undef CONDENSE_UPPER
#undef CONDENSE_LOWER

constexpr const char* kLineEnds = "[\r\n]";
constexpr const char* kHan = "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+";
constexpr const char* kHanAndKana = "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+";
constexpr const char* kDeepseekMarks =
    "\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+";
constexpr const char* kDeepseekV3 = R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^)"
                                    "\r\n"
                                    R"(\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[)"
                                    "\r\n"
                                    R"(]*|\s*[)"
                                    "\r\n"
                                    R"(]+|\s+(?!\S)|\s+)";
// The cased letters of Unicode 11.
constexpr const char* kDeepseekLetters =
    "\\s?["
    "A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293"
    "\u0295-\u02AF\u0370-\u0373\u0376\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C"
    "\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-\u0556\u10A0-\u10C5"
    "\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77"
    "\u1D79-\u1D9A\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59"
    "\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC"
    "\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107"
    "\u210A-\u2113\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139"
    "\u213C-\u213F\u2145-\u2149\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE"
    "\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E"
    "\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\U00010400-\U0001044F"
    "\U000104B0-\U000104D3\U000104D8-\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2"
    "\U000118A0-\U000118DF\U0001E900-\U0001E943"
    "]+";

const std::vector<GgufPreTokenizer>& Known() {
  static const std::vector<GgufPreTokenizer> known = {
      {.name = "gpt-2", .gpt2_words = true},
      {.name = "phi-2", .gpt2_words = true},
      {.name = "mpt", .gpt2_words = true, .nfc = true},
      {.name = "olmo", .gpt2_words = true, .nfc = true},
      {.name = "smollm", .single_digits = true, .gpt2_words = true},
      {.name = "starcoder", .single_digits = true, .gpt2_words = true},
      {.name = "refact", .single_digits = true, .gpt2_words = true},
      {.name = "codeshell", .single_digits = true, .gpt2_words = true},
      {.name = "command-r", .single_digits = true, .gpt2_words = true, .nfc = true},
      {.name = "llama-bpe", .patterns = {kThreeDigits}, .ignore_merges = true, .adds_bos = true},
      {.name = "llama3", .patterns = {kThreeDigits}, .ignore_merges = true, .adds_bos = true},
      {.name = "llama-v3", .patterns = {kThreeDigits}, .ignore_merges = true, .adds_bos = true},
      {.name = "dbrx", .patterns = {kThreeDigits}},
      {.name = "smaug-bpe", .patterns = {kThreeDigits}},
      {.name = "qwen2", .patterns = {kOneDigit}, .nfc = true},
      {.name = "deepseek-r1-qwen", .patterns = {kOneDigit}},
      {.name = "tekken", .patterns = {kTekken}, .ignore_merges = true, .adds_bos = true},
      {.name = "gpt-4o", .patterns = {kGpt4o}},
      {.name = "llama4", .patterns = {kGpt4o}, .ignore_merges = true, .adds_bos = true},
      {.name = "deepseek-llm",
       .patterns = {kLineEnds, kDeepseekLetters, kDeepseekMarks, "\\s+$", kHan},
       .single_digits = true},
      {.name = "deepseek-coder",
       .patterns = {kLineEnds, "\\s?\\p{L}+", "\\s?\\p{P}+", kHan},
       .single_digits = true},
      {.name = "deepseek-v3", .patterns = {"\\p{N}{1,3}", kHanAndKana, kDeepseekV3}}};
  return known;
}

}  // namespace

const GgufPreTokenizer* FindGgufPreTokenizer(std::string_view name) {
  const auto found = std::find_if(Known().begin(), Known().end(),
                                  [&](const auto& each) { return each.name == name; });
  return found == Known().end() ? nullptr : &*found;
}

std::vector<std::string> GgufPreTokenizerNames() {
  std::vector<std::string> names;
  std::transform(Known().begin(), Known().end(), std::back_inserter(names),
                 [](const auto& each) { return std::string(each.name); });
  return names;
}

Json ByteLevelJson(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

Json PreTokenizerJson(const GgufPreTokenizer& pre) {
  Json steps = Json::array();
  for (const char* pattern : pre.patterns) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", pattern}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  if (pre.single_digits) steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  if (steps.empty()) return ByteLevelJson(pre.gpt2_words);
  steps.push_back(ByteLevelJson(pre.gpt2_words));
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

}  // namespace condense
