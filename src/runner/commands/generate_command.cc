// runner generate: continues a prompt.
#include <algorithm>
#include <filesystem>
#include <functional>
#include <iostream>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/random.h"
#include "base/strings.h"
#include "base/system.h"
#include "experiment/inputs/model_tokenizer.h"
#include "model/causal_lm.h"
#include "model/stored/check.h"
#include "model/stored/stored_model.h"
#include "runner/command.h"
#include "runner/json_output.h"

namespace condense {
namespace {

std::vector<Option> Options() {
  return {
      ModelOption(),
      TextOption("prompt", "TEXT", "text to continue"),
      IntegerOption("tokens", "largest number of new tokens (default: 64)"),
      NumberOption("temperature", "T",
                   "sample with this temperature (default: 0, always the likeliest token)"),
      IntegerOption("seed", "random seed of the sampling (default: 0)"),
      Flag("json", "print {\"prompt\", \"text\", \"ids\", \"seconds\"}"),
  };
}

// The first id at which the cumulative probability exceeds a uniform number.
TokenId Draw(const Tensor& logits, double temperature, Random& random) {
  const Tensor sums = at::softmax(logits.to(kF64).cpu() / temperature, -1).cumsum(-1).contiguous();
  const double* begin = sums.const_data_ptr<double>();
  const double* end = begin + sums.numel();
  const double* found = std::upper_bound(begin, end, random.Uniform() * *(end - 1));
  return static_cast<TokenId>(std::min(found, end - 1) - begin);
}

using Stops = std::vector<TokenId>;

// Takes the next token, given those that are new to the cache, until one of `stops`.
std::vector<TokenId> Continue(const std::vector<TokenId>& prompt, int64_t count, const Stops& stops,
                              const std::function<TokenId(std::span<const TokenId>)>& take) {
  std::vector<TokenId> ids;
  std::span<const TokenId> fresh = prompt;
  ids.reserve(static_cast<size_t>(count));  // `fresh` points into it
  while (static_cast<int64_t>(ids.size()) < count) {
    CheckInterrupt();
    ids.push_back(take(fresh));
    if (std::find(stops.begin(), stops.end(), ids.back()) != stops.end()) break;
    fresh = std::span<const TokenId>(ids).last(1);
  }
  return ids;
}

std::vector<TokenId> Likeliest(const CausalLm& model, const std::vector<TokenId>& prompt,
                               int64_t count, const Stops& stops) {
  KvCache cache;
  return Continue(prompt, count, stops, [&](std::span<const TokenId> fresh) {
    const Tensor last = model.Hidden(StackIds({&fresh, 1}, model.device()), &cache).select(1, -1);
    // Of equal logits, the lowest id.
    return static_cast<TokenId>(model.head().Forward(last).argmax(-1).item<int64_t>());
  });
}

std::vector<TokenId> Sample(const CausalLm& model, const std::vector<TokenId>& prompt,
                            int64_t count, const Stops& stops, double temperature, uint64_t seed) {
  Random random(seed, "generate");
  KvCache cache;
  return Continue(prompt, count, stops, [&](std::span<const TokenId> fresh) {
    const Tensor logits = model.Logits(StackIds({&fresh, 1}, model.device()), &cache);
    return Draw(logits[0][-1], temperature, random);
  });
}

// The ids of "eos_token_id", a number or a list; nullopt if the file of the model or the key is absent.
std::optional<Stops> EosIdsOf(const std::filesystem::path& model, const char* name) {
  const std::filesystem::path file = model / name;
  const auto text = ModelFile(model, name);
  if (!text) return std::nullopt;
  const Json json = ParseJson(*text, file.string());
  const auto found = json.is_object() ? json.find("eos_token_id") : json.end();
  if (found == json.end() || found->is_null()) return std::nullopt;
  Stops stops;
  for (const Json& id : found->is_array() ? *found : Json::array({*found})) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > INT32_MAX) {
      throw MakeError<DataError>("{}: eos_token_id is {}, expected a token id or a list of them",
                                 file.string(), found->dump());
    }
    stops.push_back(id.get<TokenId>());
  }
  return stops;
}

// Every id at which a text ends: those of generation_config.json; without it those of config.json,
// and the tokenizer's.
Stops EndsOfText(const std::filesystem::path& model, const Tokenizer& tokenizer) {
  if (auto stops = EosIdsOf(model, "generation_config.json")) return *stops;
  Stops stops = EosIdsOf(model, "config.json").value_or(Stops());
  if (tokenizer.eos()) stops.push_back(*tokenizer.eos());
  return stops;
}

int Run(const Arguments& arguments) {
  const std::string& prompt = arguments.RawText("prompt");
  if (const auto invalid = InvalidUtf8At(prompt)) {
    throw MakeError<ConfigError>("--prompt: invalid UTF-8 at byte {}", *invalid);
  }
  const int64_t count = arguments.Integer("tokens").value_or(64);
  if (count < 1) throw MakeError<ConfigError>("--tokens {}: expected at least 1", count);
  const double temperature = arguments.Has("temperature") ? arguments.Number("temperature") : 0;
  if (!(temperature >= 0 && temperature <= 1e6)) {
    throw MakeError<ConfigError>("--temperature {}: expected a number in [0, 1e6]", temperature);
  }
  const int64_t seed = arguments.Integer("seed").value_or(0);
  if (seed < 0) throw MakeError<ConfigError>("--seed {}: expected 0 or more", seed);
  const std::filesystem::path folder = ModelFolder(arguments);
  const auto tokenizer = LoadModelTokenizer(folder);
  const std::vector<TokenId> ids = tokenizer->Encode(prompt, SpecialTokens::kAdd);
  if (ids.empty())
    throw ConfigError("--prompt: an empty prompt gives this model no token to continue from");

  const InferenceScope inference;
  StoredModel stored(folder, {.device = OpenComputeDevice(arguments)}, Residence::kStreamed);
  const int64_t positions = stored.config().LongestText();
  if (static_cast<int64_t>(ids.size()) + count > positions) {
    throw MakeError<ConfigError>(
        "the prompt has {} tokens, and with --tokens {} that is more than the {} positions of the "
        "model",
        ids.size(), count, positions);
  }
  RequireKnownIds(stored.config(), ids, "--prompt");
  const CausalLm& model = stored.resident();
  const Stops stops = EndsOfText(folder, *tokenizer);
  const Stopwatch watch;
  const std::vector<TokenId> made =
      temperature == 0 ? Likeliest(model, ids, count, stops)
                       : Sample(model, ids, count, stops, temperature, static_cast<uint64_t>(seed));
  const double seconds = watch.Seconds();
  if (arguments.Flag("json")) {
    PrintJsonLine({{"prompt", prompt},
                   {"text", tokenizer->Decode(made, {.skip_special = true})},
                   {"ids", made},
                   {"seconds", seconds}});
    return 0;
  }
  // Together, because the text of an id can depend on the ids before it.
  std::vector<TokenId> whole = ids;
  whole.insert(whole.end(), made.begin(), made.end());
  std::cout << tokenizer->Decode(whole, {.skip_special = true}) << '\n';
  return 0;
}

}  // namespace

Command GenerateCommand() {
  return {
      .name = "generate",
      .summary = "continue a prompt",
      .usage = "runner generate --model DIR --prompt TEXT --tokens N",
      .details =
          "Prints the prompt and its continuation, up to a token that ends texts: one of the\n"
          "eos_token_id of generation_config.json, else of config.json or the tokenizer. Decoding is\n"
          "greedy unless --temperature is given.",
      .example = "runner generate --model llama2-mini --prompt 'Once upon a time' --tokens 32",
      .options = Options(),
      .run = Run};
}

}  // namespace condense
