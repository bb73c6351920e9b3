#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/system.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/json.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"
#include "unit/checkpoint/raw_files.h"

namespace condense {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;
namespace fs = std::filesystem;

std::vector<std::string> FilesOf(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

// All files of a folder as one text.
std::string Content(const fs::path& folder) {
  std::vector<std::string> names = FilesOf(folder);
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) text += name + ":" + ReadFile(folder / name);
  return text;
}

void Copy(const Checkpoint& from, const fs::path& to, CheckpointWriter::Options options = {}) {
  CheckpointWriter writer(to, options);
  for (const std::string& name : from.Names()) writer.Add(name, from.Get(name));
  writer.Finish();
}

void ExpectEqual(const Checkpoint& a, const Checkpoint& b) {
  ASSERT_EQ(a.Names(), b.Names());
  for (const std::string& name : a.Names()) {
    EXPECT_EQ(a.Info(name).dtype, b.Info(name).dtype);
    EXPECT_TRUE(at::equal(a.Get(name), b.Get(name))) << name;
  }
}

class Writer : public ::testing::Test {
 protected:
  void WriteOne(float value) {
    CheckpointWriter writer(out_);
    writer.Add("w", Floats({value}));
    writer.Finish();
  }
  [[noreturn]] void ReplaceUntilKilled() {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    try {
      for (float value = 1;; ++value) WriteOne(value);
    } catch (...) {
      ::_exit(1);
    }
  }
  float ReadOne() const { return Checkpoint::Open(out_).Get("w").item<float>(); }

  TempFolder folder_;
  fs::path out_ = folder_.path() / "out";
};

TEST_F(Writer, CopiesEveryModelBitForBit) {
  for (const char* name : {"llama2-mini", "llama3-mini", "opt-mini", "stories260k"}) {
    const auto source = SharedFolder() / "models" / name;
    CONDENSE_SKIP_WITHOUT(source);
    const Checkpoint dense = Checkpoint::Open(source);
    Copy(dense, out_);
    EXPECT_THAT(FilesOf(out_), ElementsAre("model.safetensors"));
    ExpectEqual(dense, Checkpoint::Open(out_));
  }
}

TEST_F(Writer, SplitsIntoShardsWithAnIndex) {
  {
    CheckpointWriter writer(out_, {.shard_bytes = 40});
    for (const char* name : {"c", "a", "b"}) writer.Add(name, Floats({1, 2, 3, 4, 5}));
    writer.Add("large", at::arange(64, kF32));  // alone larger than a shard may be
    writer.Add("last", at::arange(3, kF16));
    writer.Finish();
  }
  EXPECT_THAT(
      FilesOf(out_),
      UnorderedElementsAre("model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors",
                           "model-00003-of-00004.safetensors", "model-00004-of-00004.safetensors",
                           "model.safetensors.index.json"));
  const auto index = ReadJson(out_ / "model.safetensors.index.json");
  EXPECT_EQ(index["metadata"]["total_size"], 3 * 20 + 256 + 6);
  EXPECT_EQ(index["weight_map"]["a"], "model-00001-of-00004.safetensors");
  EXPECT_EQ(index["weight_map"]["b"], "model-00002-of-00004.safetensors");
  const Checkpoint checkpoint = Checkpoint::Open(out_);
  EXPECT_TRUE(at::equal(checkpoint.Get("large"), at::arange(64, kF32)));
  EXPECT_TRUE(at::equal(checkpoint.Get("last"), at::arange(3, kF16)));
}

TEST_F(Writer, BeginsAShardWhenAHeaderIsFull) {
  const int64_t count = 3000;
  {
    CheckpointWriter writer(out_);
    for (int64_t i = 0; i < count; ++i) {
      writer.Add(fmt::format("model.layers.{}.self_attn.some_projection.weight", i),
                 at::full({1}, i, kI64));
    }
    writer.Finish();
  }
  const Checkpoint checkpoint = Checkpoint::Open(out_);
  EXPECT_GT(checkpoint.Files().size(), 1u);
  EXPECT_EQ(checkpoint.Names().size(), static_cast<size_t>(count));
  const std::string name = "model.layers.2999.self_attn.some_projection.weight";
  EXPECT_EQ(checkpoint.Get(name).item<int64_t>(), 2999);
}

TEST_F(Writer, GivesTheSameBytesForTheSameTensors) {
  const auto source = SharedFolder() / "models/stories260k";
  CONDENSE_SKIP_WITHOUT(source);
  const Checkpoint dense = Checkpoint::Open(source);
  const CheckpointWriter::Options options{.shard_bytes = 200'000};
  Copy(dense, out_, options);
  const std::string first = Content(out_);
  Copy(Checkpoint::Open(out_), folder_.path() / "again", options);
  EXPECT_EQ(Content(folder_.path() / "again"), first);
}

TEST_F(Writer, AddsFilesBesideTheWeights) {
  WriteFileAtomically(folder_.path() / "tokenizer.json", "{\"model\": {}}");
  CheckpointWriter writer(out_);
  writer.AddFile("config.json", "{}");
  writer.Add("w", Floats({1}));
  writer.CopyFile(folder_.path() / "tokenizer.json");
  EXPECT_THAT([&] { writer.CopyFile(folder_.path() / "absent"); }, FailsWith("absent"));
  writer.Finish();
  EXPECT_EQ(ReadFile(out_ / "tokenizer.json"), "{\"model\": {}}");
  EXPECT_EQ(ReadFile(out_ / "config.json"), "{}");
}

TEST_F(Writer, LeavesNothingBehindWithoutFinish) {
  {
    CheckpointWriter writer(out_);
    writer.Add("w", Floats({1}));
    EXPECT_FALSE(fs::exists(out_));
  }
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST_F(Writer, ReplacesAnEarlierCheckpointOnlyWhenFinished) {
  WriteOne(1);
  {
    CheckpointWriter writer(out_);
    writer.Add("w", Floats({2}));
    EXPECT_EQ(ReadOne(), 1);
  }
  EXPECT_EQ(ReadOne(), 1);
  const Checkpoint old = Checkpoint::Open(out_);
  WriteOne(3);
  EXPECT_EQ(ReadOne(), 3);
  EXPECT_EQ(old.Get("w").item<float>(), 1);  // still mapped
  EXPECT_THAT(FilesOf(folder_.path()), ElementsAre("out"));
}

TEST_F(Writer, ReplacesWhatALinkPointsTo) {
  WriteOne(1);
  fs::create_directory_symlink(out_, folder_.path() / "link");
  CheckpointWriter writer(folder_.path() / "link/");
  writer.Add("w", Floats({2}));
  writer.Finish();
  EXPECT_TRUE(fs::is_symlink(folder_.path() / "link"));
  EXPECT_EQ(ReadOne(), 2);
}

TEST_F(Writer, RefusesToReplaceWhatIsNoCheckpoint) {
  fs::create_directories(out_);
  EXPECT_NO_THROW(CheckpointWriter{out_});  // empty
  WriteFileAtomically(out_ / "thesis.tex", "text");
  EXPECT_THAT([&] { CheckpointWriter{out_}; }, FailsWith("out", "no weights", "not replaced"));
  WriteFileAtomically(out_ / "model.safetensors", "");
  fs::create_directory(out_ / "figures");
  EXPECT_THAT([&] { CheckpointWriter{out_}; }, FailsWith("'figures'", "not replaced"));
  EXPECT_THAT([&] { CheckpointWriter{out_ / "thesis.tex"}; }, FailsWith("is a file"));
  EXPECT_EQ(ReadFile(out_ / "thesis.tex"), "text");
}

// At every moment of a replacement, also when the process is killed in it, a complete checkpoint is
// there. The child replaces as fast as it can until it is killed at an arbitrary point.
TEST_F(Writer, NeverLeavesNeitherWhenKilled) {
  WriteOne(0);
  for (int round = 0; round < 8; ++round) {
    const pid_t child = ::fork();
    if (child == 0) ReplaceUntilKilled();
    for (int check = 0; check < 20; ++check) {
      EXPECT_GE(ReadOne(), 0);
      ::usleep(static_cast<useconds_t>(500 + 137 * round));
    }
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "the child failed to write";
    EXPECT_GE(ReadOne(), 0);
  }
  WriteOne(7);  // clears up what the killed processes left
  EXPECT_THAT(FilesOf(folder_.path()), ElementsAre("out"));
  EXPECT_EQ(ReadOne(), 7);
}

TEST_F(Writer, RestoresACheckpointThatWasMovedAside) {
  WriteOne(5);
  // What remains when the process dies between the two renames where folders cannot be exchanged.
  const pid_t dead = ::fork();
  if (dead == 0) ::_exit(0);
  ::waitpid(dead, nullptr, 0);
  fs::rename(out_, folder_.path() / fmt::format(".out.{}.staged-{}-0.old", HostName(), dead));
  { const CheckpointWriter writer(out_); }
  EXPECT_EQ(ReadOne(), 5);
}

// Writing is limited to a size of file, which a process may do to itself, unlike filling a disk.
TEST_F(Writer, LeavesTheOldCheckpointWhenWritingFails) {
  WriteOne(1);
  struct rlimit before {};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const struct rlimit limit { 1 << 20, before.rlim_max };
  ::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &limit);
  const auto write = [&] {
    CheckpointWriter writer(out_);
    writer.Add("w", at::zeros({1 << 20}, kF32));
    writer.Finish();
  };
  EXPECT_THAT(write, FailsWith("cannot write"));
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(ReadOne(), 1);
  EXPECT_THAT(FilesOf(folder_.path()), ElementsAre("out"));
}

TEST_F(Writer, SaysThatTheDiskIsFull) {
  fs::create_directory(out_);
  if (::mount("none", out_.c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "cannot mount a small file system";
  }
  const auto write = [&] {
    CheckpointWriter writer(out_ / "model");
    for (int i = 0; i < 64; ++i) writer.Add(std::to_string(i), at::zeros({64 << 10}, kF32));
    writer.Finish();
  };
  EXPECT_THAT(write, FailsWith("No space left", "free some space"));
  EXPECT_TRUE(fs::is_empty(out_));
  ::umount(out_.c_str());
}

}  // namespace
}  // namespace condense
