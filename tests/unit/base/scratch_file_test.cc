#include "base/scratch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "support/temp_folder.h"

namespace condense {
namespace {

TEST(ScratchFile, ReadsWhatWasWrittenAndLeavesNothingBehind) {
  const TempFolder folder;
  ScratchFile file(folder.path());
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_EQ(file.Append("hello ", 6), 0u);
  EXPECT_EQ(file.Append("world", 5), 6u);
  file.WriteAt(0, "H", 1);
  std::string text(11, ' ');
  file.ReadAt(0, text.data(), text.size());
  EXPECT_EQ(text, "Hello world");
  EXPECT_EQ(file.size(), 11u);
}

TEST(ScratchFile, NamesTheFolderAndTheRemedy) {
  try {
    ScratchFile("/nowhere/at/all");
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("/nowhere/at/all: cannot create"));
    EXPECT_THAT(error.what(), testing::HasSubstr("TMPDIR"));
  }
}

}  // namespace
}  // namespace condense
