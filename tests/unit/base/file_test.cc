#include "base/file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/sha256.h"
#include "support/temp_folder.h"

namespace condense {
namespace {

TEST(AtomicFile, LeavesTheOldContentWithoutCommit) {
  const TempFolder folder;
  const auto path = folder.path() / "a.txt";
  WriteFileAtomically(path, "old");
  {
    AtomicFile file(path);
    file.Write("new content");
  }
  EXPECT_EQ(ReadFile(path), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(AtomicFile, OverwritesItsHeader) {
  const TempFolder folder;
  const auto path = folder.path() / "a.bin";
  AtomicFile file(path);
  file.Write("xxxxBODY");
  file.WriteAt(0, "HEAD", 4);
  file.Commit();
  EXPECT_EQ(ReadFile(path), "HEADBODY");
}

TEST(MappedFile, NamesAMissingFile) {
  try {
    MappedFile file("no/such/file");
    FAIL();
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("no/such/file"), std::string::npos);
    EXPECT_EQ(error.ExitCode(), 3);
  }
}

TEST(RequireWritable, RefusesAFolderThatIsAFile) {
  const TempFolder folder;
  WriteFileAtomically(folder.path() / "results", "a file");
  EXPECT_THROW(RequireWritable(folder.path() / "results"), DataError);
}

TEST(Sha256, EqualsTheStandardsExample) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace condense
