#include "data/text/python_text.h"

#include <gtest/gtest.h>

namespace condense {
namespace {

TEST(PythonSpace, IsWhatStrIsspaceSays) {
  for (const char32_t c : {0x09, 0x0D, 0x1C, 0x1F, 0x20, 0x85, 0xA0, 0x1680, 0x2000, 0x200A, 0x2028,
                           0x2029, 0x202F, 0x205F, 0x3000}) {
    EXPECT_TRUE(IsPythonSpace(c)) << static_cast<uint32_t>(c);
  }
  for (const char32_t c : {0x00, 0x08, 0x1B, 0x180E, 0x200B, 0x2060, 0xFEFF}) {
    EXPECT_FALSE(IsPythonSpace(c)) << static_cast<uint32_t>(c);
  }
}

TEST(PythonStrip, RemovesSpaceOfAnyWidth) {
  EXPECT_EQ(PythonStrip("\xE3\x80\x80 a b\xC2\xA0\n"), "a b");
  EXPECT_EQ(PythonStrip(" \t\xE2\x80\x8B"), "\xE2\x80\x8B");
  EXPECT_EQ(PythonStrip(" \n"), "");
}

TEST(TrailingSpaceBegin, IsTheEndWhereThereIsNone) {
  EXPECT_EQ(TrailingSpaceBegin("ab"), 2u);
  EXPECT_EQ(TrailingSpaceBegin("ab \x1F"), 2u);
  EXPECT_EQ(TrailingSpaceBegin("a\xE3\x80\x80"), 1u);
  EXPECT_EQ(TrailingSpaceBegin("a\xC3\xA9"), 3u);
}

}  // namespace
}  // namespace condense
