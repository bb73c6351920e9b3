#include "report/csv.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace condense {
namespace {

using Fields = std::vector<std::string>;

std::vector<Fields> Parse(std::string_view text) {
  std::vector<Fields> records;
  for (const CsvRecord& record : ParseCsv(text, "f.csv")) records.push_back(record.fields);
  return records;
}

std::string Refusal(std::string_view text) {
  try {
    CsvTable(text, "f.csv");
  } catch (const DataError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Csv, ReadsWhatRfc4180Describes) {
  EXPECT_EQ(Parse("a,b\n1,2\n"), (std::vector<Fields>{{"a", "b"}, {"1", "2"}}));
  EXPECT_EQ(Parse("a,b\r\n1,2"), (std::vector<Fields>{{"a", "b"}, {"1", "2"}}));
  EXPECT_EQ(Parse("a,,\n"), (std::vector<Fields>{{"a", "", ""}}));
  EXPECT_EQ(Parse("\"x, y\",\"say \"\"so\"\"\",\"two\nlines\"\r\nnext\n"),
            (std::vector<Fields>{{"x, y", "say \"so\"", "two\nlines"}, {"next"}}));
  EXPECT_EQ(Parse("\xEF\xBB\xBF\"a\",b\n"), (std::vector<Fields>{{"a", "b"}}));
  EXPECT_TRUE(Parse("").empty());
}

TEST(Csv, WritesWhatItReads) {
  const Fields fields = {"plain", "", "a,b", "\"q\"", "line\nend", "carriage\rreturn"};
  EXPECT_EQ(Parse(CsvLine(fields)), (std::vector<Fields>{fields}));
}

TEST(Csv, RefusesWithTheLine) {
  EXPECT_EQ(Refusal("a,b\n1,\"2\n\n"), "f.csv:2: a quoted field is not closed");
  EXPECT_EQ(Refusal("a,b\n1,x\"y\n"), "f.csv:2: a quote inside a field that is not quoted");
  EXPECT_EQ(Refusal("a,b\n1,\"x\"y\n"),
            "f.csv:2: text after a closing quote; expected a comma or a line end");
  EXPECT_EQ(Refusal("a,b\n\"1\n\",2\n3\n"), "f.csv:4: 1 fields, but the heading has 2");
  EXPECT_EQ(Refusal(""), "f.csv: is empty; expected a heading");
}

TEST(Csv, FindsFieldsByTheNamesOfTheColumns) {
  const CsvTable table("model,ratio\nopt,0.1\nllama,0.2\n", "f.csv");
  ASSERT_EQ(table.size(), 2u);
  EXPECT_EQ(table.Field(1, "ratio"), "0.2");
  EXPECT_EQ(table.Place(1), "f.csv:3");
  EXPECT_THROW(table.Field(0, "method"), DataError);
}

}  // namespace
}  // namespace condense
