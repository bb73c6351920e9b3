// runner generate: continues a prompt.
#include <iostream>

#include "base/error.h"
#include "base/random.h"
#include "base/strings.h"
#include "base/system.h"
#include "model/causal_lm.h"
#include "model/stored/check.h"
#include "model/stored/stored_model.h"
#include "runner/command.h"
#include "runner/json_output.h"
#include "tokenizer/tokenizer.h"

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

std::vector<TokenId> Sample(const CausalLm& model, const std::vector<TokenId>& prompt,
                            int64_t count, TokenId stop, double temperature, uint64_t seed) {
  Random random(seed, "generate");
  KvCache cache;
  std::vector<TokenId> ids, next = prompt;
  while (static_cast<int64_t>(ids.size()) < count) {
    CheckInterrupt();
    const std::span<const TokenId> row(next);
    const Tensor logits = model.Logits(StackIds({&row, 1}, model.device()), &cache);
    ids.push_back(Draw(logits[0][-1], temperature, random));
    if (ids.back() == stop) break;
    next = {ids.back()};
  }
  return ids;
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
  const auto tokenizer = LoadTokenizer(folder);
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
  const TokenId stop = tokenizer->eos().value_or(-1);
  const Stopwatch watch;
  const std::vector<TokenId> made =
      temperature == 0 ? GenerateGreedy(model, ids, count, stop)
                       : Sample(model, ids, count, stop, temperature, static_cast<uint64_t>(seed));
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
          "Prints the prompt and its continuation, up to the end-of-text token. Decoding is greedy\n"
          "unless --temperature is given.",
      .example = "runner generate --model llama2-mini --prompt 'Once upon a time' --tokens 32",
      .options = Options(),
      .run = Run};
}

}  // namespace condense
