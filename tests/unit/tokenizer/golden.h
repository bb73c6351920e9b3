// Stored results of the reference tokenizers: the files of shared/golden/tokenizer, described in
// its README.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/shared_data.h"
#include "tokenizer/tokenizer.h"

namespace condense {

using Ids = std::vector<TokenId>;

inline nlohmann::json ReadJson(const std::filesystem::path& path) {
  return nlohmann::json::parse(std::ifstream(path));
}

inline std::string ReadBytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void WriteText(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

// A model's name where a test's name wants letters and digits alone.
inline std::string ModelName(const testing::TestParamInfo<const char*>& info) {
  std::string name = info.param;
  std::erase(name, '-');
  return name;
}

// The ids of a string without special tokens; the files leave out what follows from "ids".
inline Ids PlainIds(const nlohmann::json& row) {
  if (row.contains("ids_plain")) return row["ids_plain"].get<Ids>();
  Ids ids = row["ids"].get<Ids>();
  if (row.value("bos", false)) ids.erase(ids.begin());
  return ids;
}

// The decoded text; null stands for the text itself.
inline std::string PlainText(const nlohmann::json& row) {
  return row["decode_plain"].is_null() ? row["text"] : row["decode_plain"];
}

// Every field that a file has for ids and decoding.
inline void ExpectEqualsGolden(const Tokenizer& tokenizer, const nlohmann::json& golden) {
  for (const nlohmann::json& row : golden["strings"]) {
    const std::string text = row["text"];
    SCOPED_TRACE(nlohmann::json(text).dump());
    const Ids ids = row["ids"].get<Ids>(), plain = PlainIds(row);
    EXPECT_EQ(tokenizer.Encode(text, SpecialTokens::kAdd), ids);
    EXPECT_EQ(tokenizer.Encode(text, SpecialTokens::kNone), plain);
    EXPECT_EQ(tokenizer.Decode(plain), PlainText(row));
    EXPECT_EQ(tokenizer.Decode(ids, {.skip_special = true}),
              row.value("decode_skip_special", PlainText(row)));
    if (row.contains("decode_ids")) {
      EXPECT_EQ(tokenizer.Decode(ids), row["decode_ids"]);
    }
  }
  for (const nlohmann::json& row : golden["decode"]) {
    SCOPED_TRACE(row["ids"].dump());
    EXPECT_EQ(tokenizer.Decode(row["ids"].get<Ids>()), row["text"]);
    EXPECT_EQ(tokenizer.Decode(row["ids"].get<Ids>(), {.skip_special = true}), row["skip_special"]);
  }
}

}  // namespace condense
