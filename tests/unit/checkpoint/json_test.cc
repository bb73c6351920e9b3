#include "checkpoint/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/temp_folder.h"
#include "unit/checkpoint/raw_files.h"

namespace condense {
namespace {

TEST(ReadJson, GivesFileLineAndColumnOfASyntaxError) {
  const TempFolder folder;
  const auto path = folder.path() / "config.json";
  WriteFileAtomically(path, "{\n  \"hidden_size\": 64,\n  \"layers\" 5\n}");
  EXPECT_THAT([&] { ReadJson(path); }, FailsWith("config.json", "line 3, column 12"));
}

TEST(ReadJson, RefusesAKeyThatOccursTwiceInOneObject) {
  const TempFolder folder;
  const auto path = folder.path() / "config.json";
  WriteFileAtomically(path, "{\"a\": {\"x\": 1},\n \"b\": {\"x\": 2, \"x\": 3}}");
  EXPECT_THAT([&] { ReadJson(path); }, FailsWith("\"x\"", "twice", "line 2, column 18"));
  WriteFileAtomically(path, "{\"a\": {\"x\": 1}, \"b\": [{\"x\": 2}, {\"x\": 3}]}");
  EXPECT_EQ(ReadJson(path)["b"][1]["x"], 3);
}

TEST(ReadJson, RefusesTruncatedAndEmptyFilesAndTrailingText) {
  const TempFolder folder;
  const auto path = folder.path() / "config.json";
  for (const char* text : {"", "{\"a\": [1, 2", "{} {}", "{'a': 1}", "{\"a\": \"\xff\"}"}) {
    WriteFileAtomically(path, text);
    EXPECT_THAT([&] { ReadJson(path); }, FailsWith("config.json", "not valid JSON")) << text;
  }
  EXPECT_THAT([&] { ReadJson(folder.path() / "absent.json"); }, FailsWith("absent.json"));
}

TEST(ReadJson, RefusesNestingThatWouldTakeAllStack) {
  const TempFolder folder;
  const auto path = folder.path() / "config.json";
  const auto nested = [](size_t levels, const std::string& open, const std::string& close) {
    std::string text;
    for (size_t i = 0; i < levels; ++i) text += open;
    text += "0";
    for (size_t i = 0; i < levels; ++i) text += close;
    return text;
  };
  for (const size_t levels : {size_t{129}, size_t{100000}}) {
    WriteFileAtomically(path, nested(levels, "[", "]"));
    EXPECT_THAT([&] { ReadJson(path); }, FailsWith("config.json", "more than 128 levels"));
    WriteFileAtomically(path, nested(levels, "{\"a\":", "}"));
    EXPECT_THAT([&] { ReadJson(path); }, FailsWith("config.json", "more than 128 levels"));
    // Brackets that are never closed are refused before the parser keeps them.
    WriteFileAtomically(path, std::string(levels, '['));
    EXPECT_THAT([&] { ReadJson(path); }, FailsWith("config.json", "more than 128 levels"));
  }
  WriteFileAtomically(path, nested(128, "[", "]"));
  EXPECT_EQ(ReadJson(path).dump(), nested(128, "[", "]"));
  // Brackets in strings are no levels, and an escaped quote ends none.
  const std::string brackets = "[\"\\\"" + std::string(1000, '[') + "\\\\\"]";
  WriteFileAtomically(path, brackets);
  EXPECT_EQ(ReadJson(path).dump(), brackets);
}

TEST(WriteJson, IsReadBackEqualAndByteIdentical) {
  const TempFolder folder;
  const auto path = folder.path() / "config.json";
  const nlohmann::json value = {{"eps", 1e-5}, {"n", 7}, {"name", "ä"}, {"none", nullptr}};
  WriteJson(path, value);
  const std::string text = ReadFile(path);
  EXPECT_EQ(ReadJson(path), value);
  WriteJson(path, ReadJson(path));
  EXPECT_EQ(ReadFile(path), text);
}

TEST(WriteJson, RefusesTextThatIsNotUtf8) {
  const TempFolder folder;
  EXPECT_THAT([&] { WriteJson(folder.path() / "a.json", nlohmann::json("\xff")); },
              FailsWith("a.json"));
}

}  // namespace
}  // namespace condense
