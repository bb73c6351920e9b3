// Settings resolved as AutoTokenizer resolves them: tests/golden/tokenizer_settings.
#include <map>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "support/temp_folder.h"
#include "unit/tokenizer/golden.h"

namespace condense {
namespace {

using nlohmann::json;

std::string BytesOfHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

// Files whose contents are objects are put together key by key.
void AddFiles(const json& more, json& files) {
  for (const auto& [name, content] : more.items()) {
    if (content.is_object() && files.contains(name)) {
      files[name].update(content);
    } else {
      files[name] = content;
    }
  }
}

class SettingsMatrix : public testing::Test {
 protected:
  struct Cell {
    size_t class_number, set_number;
    std::vector<size_t> variations;
    size_t outcome;
  };
  enum class Result { kEqual, kRefusedByBoth, kMoreLenient, kNotSupported, kWithoutSettings };

  static void SetUpTestSuite() { SetLogLevel(LogLevel::kSilent); }
  static void TearDownTestSuite() { SetLogLevel(LogLevel::kInfo); }

  std::string NameOf(const Cell& cell) const {
    std::string name = golden_["classes"][cell.class_number]["name"].get<std::string>() + ", " +
                       golden_["sets"][cell.set_number]["name"].get<std::string>();
    for (const size_t i : cell.variations) {
      name += ", " + golden_["variations"][i]["name"].get<std::string>();
    }
    return name;
  }

  void Write(const Cell& cell, const std::filesystem::path& folder) const {
    json files = golden_["classes"][cell.class_number]["files"];
    AddFiles(golden_["sets"][cell.set_number]["files"], files);
    for (const size_t i : cell.variations) AddFiles(golden_["variations"][i]["files"], files);
    for (const auto& [name, content] : files.items()) {
      if (name == "tokenizer.json padding") continue;
      json whole = content.is_string() ? bases_.at(content.get<std::string>()) : content;
      if (name == "tokenizer.json") {
        whole["padding"] = files.value("tokenizer.json padding", json());
      }
      const std::string text = whole.is_string() ? whole.get<std::string>() : whole.dump();
      WriteText(folder / name, name == "tokenizer.model" ? BytesOfHex(text) : text);
    }
  }

  // Such a folder is taken as it stands; the library takes the class that config.json implies.
  static bool HasNoSettings(const std::filesystem::path& folder) {
    return !std::filesystem::exists(folder / "tokenizer_config.json") &&
           !std::filesystem::exists(folder / "special_tokens_map.json");
  }

  // Compares everything that an outcome has.
  void ExpectEquals(const Tokenizer& tokenizer, const json& outcome) const {
    const json& texts = golden_["texts"];
    for (size_t i = 0; i < texts.size(); ++i) {
      const Ids ids = golden_["lists"][outcome["ids"][i].get<size_t>()].get<Ids>();
      const std::string text = texts[i];
      EXPECT_EQ(tokenizer.Encode(text, SpecialTokens::kAdd), ids) << texts[i].dump();
      EXPECT_EQ(tokenizer.Decode(ids), golden_["strings"][outcome["texts"][i].get<size_t>()]);
      EXPECT_EQ(tokenizer.Decode(ids, {.skip_special = true}),
                golden_["strings"][outcome["plain"][i].get<size_t>()]);
    }
    // Where the library names none, config.json may.
    if (!outcome["bos"].is_null()) {
      EXPECT_EQ(tokenizer.bos(), outcome["bos"]);
    }
    if (!outcome["eos"].is_null()) {
      EXPECT_EQ(tokenizer.eos(), outcome["eos"]);
    }
    EXPECT_EQ(tokenizer.size(), outcome["size"]);
  }

  Result Check(const Cell& cell) const {
    SCOPED_TRACE(NameOf(cell));
    const json& outcome = golden_["outcomes"][cell.outcome];
    const bool refused = outcome.contains("refused");
    TempFolder folder;
    Write(cell, folder.path());
    std::unique_ptr<Tokenizer> tokenizer;
    try {
      tokenizer = LoadTokenizer(folder.path());
    } catch (const DataError& error) {
      if (refused) return Result::kRefusedByBoth;
      // A model of Gemma, and ids of added_tokens_decoder that take pieces from their places.
      EXPECT_THAT(error.what(),
                  testing::AnyOf(testing::HasSubstr("tokenizer_class 'GemmaTokenizer'"),
                                 testing::HasSubstr("has two ids")));
      return Result::kNotSupported;
    }
    if (refused) return Result::kMoreLenient;
    if (HasNoSettings(folder.path())) return Result::kWithoutSettings;
    ExpectEquals(*tokenizer, outcome);
    return Result::kEqual;
  }

  void CheckAll(const std::vector<Cell>& cells) const {
    std::map<Result, size_t> counts;
    for (const Cell& cell : cells) ++counts[Check(cell)];
    std::cout << fmt::format(
        "{} cells: {} equal, {} refused as transformers does, {} more lenient, {} refused because "
        "they are not supported, {} without settings\n",
        cells.size(), counts[Result::kEqual], counts[Result::kRefusedByBoth],
        counts[Result::kMoreLenient], counts[Result::kNotSupported],
        counts[Result::kWithoutSettings]);
  }

  json golden_ = ReadJson(SourceFolder() / "tests/golden/tokenizer_settings/matrix.json");
  std::map<std::string, json> bases_ = golden_["bases"].get<std::map<std::string, json>>();
};

TEST_F(SettingsMatrix, EveryClassEverySetOfFilesEverySetting) {
  const size_t sets = golden_["sets"].size();
  std::vector<Cell> cells;
  for (size_t row = 0; row < golden_["matrix"].size(); ++row) {
    for (size_t i = 0; i < golden_["variations"].size(); ++i) {
      cells.push_back({row / sets, row % sets, {i}, golden_["matrix"][row][i]});
    }
  }
  CheckAll(cells);
}

TEST_F(SettingsMatrix, CombinationsOfSettings) {
  std::vector<Cell> cells;
  for (const json& row : golden_["mixed"]) cells.push_back({row[0], row[1], row[2], row[3]});
  CheckAll(cells);
}

}  // namespace
}  // namespace condense
