// runner tokenize: strings to token ids and back, one JSON value per line.
#include <filesystem>
#include <iostream>
#include <span>
#include <string>

#include "base/error.h"
#include "base/strings.h"
#include "experiment/inputs/model_tokenizer.h"
#include "runner/command.h"
#include "runner/json_output.h"

namespace condense {
namespace {

Json ParseLine(const std::string& line, int64_t number) {
  const Json value = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!value.is_discarded()) return value;
  throw MakeError<DataError>("standard input:{}: not one JSON value", number);
}

std::string EncodeLine(const Tokenizer& tokenizer, SpecialTokens special, const std::string& line,
                       int64_t number) {
  if (const auto invalid = InvalidUtf8At(line)) {
    throw MakeError<DataError>("standard input:{}: invalid UTF-8 at byte {}", number, *invalid);
  }
  const Json text = ParseLine(line, number);
  if (!text.is_string()) {
    throw MakeError<DataError>("standard input:{}: expected a JSON string", number);
  }
  return Json(tokenizer.Encode(text.get_ref<const std::string&>(), special)).dump();
}

std::string DecodeLine(const Tokenizer& tokenizer, const std::string& line, int64_t number) {
  const Json ids = ParseLine(line, number);
  const auto is_id = [](const Json& id) {
    return id.is_number_integer() && id.get<int64_t>() >= 0 && id.get<int64_t>() <= INT32_MAX;
  };
  if (!ids.is_array() || !std::all_of(ids.begin(), ids.end(), is_id)) {
    throw MakeError<DataError>("standard input:{}: expected a JSON array of token ids", number);
  }
  const auto values = ids.get<std::vector<TokenId>>();
  try {
    return Json(tokenizer.Decode(values)).dump(-1, ' ', /*ensure_ascii=*/false);
  } catch (const DataError& error) {  // an id that the vocabulary lacks
    throw MakeError<DataError>("standard input:{}: {}", number, error.what());
  }
}

// A folder with a tokenizer will do, though it lacks the config.json of a model.
std::filesystem::path TokenizerFolder(const Arguments& arguments) {
  const std::filesystem::path folder = arguments.Text("model");
  for (const char* name : {"tokenizer.json", "tokenizer.model", "vocab.json"}) {
    std::error_code ignored;
    if (std::filesystem::exists(folder / name, ignored)) return folder;
  }
  return ModelFolder(arguments);
}

int Run(const Arguments& arguments) {
  const auto tokenizer = LoadModelTokenizer(TokenizerFolder(arguments));
  const auto special = arguments.Flag("no-special") ? SpecialTokens::kNone : SpecialTokens::kAdd;
  const bool decode = arguments.Flag("decode");
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number) {
    std::cout << (decode ? DecodeLine(*tokenizer, line, number)
                         : EncodeLine(*tokenizer, special, line, number))
              << '\n';
  }
  return 0;
}

}  // namespace

Command TokenizeCommand() {
  return {
      .name = "tokenize",
      .summary = "convert text to token ids, or back",
      .usage = "runner tokenize --model DIR [--no-special] [--decode]",
      .details =
          "Reads one JSON string per line from standard input, and prints one array of token ids\n"
          "per line. With --decode it reads arrays and prints strings. The folder needs the files of a\n"
          "tokenizer alone.",
      .example = "echo '\"Once upon a time\"' | runner tokenize --model llama2-mini",
      .options = {ModelOption(), Flag("no-special", "add no special tokens"),
                  Flag("decode", "convert token ids to text")},
      .run = Run};
}

}  // namespace condense
