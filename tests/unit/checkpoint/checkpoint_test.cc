// Model folders: which files are read, what an index may say, and what is asked for by name.
#include "checkpoint/checkpoint.h"

#include <gtest/gtest.h>

#include "base/sha256.h"
#include "base/system.h"
#include "checkpoint/checkpoint_writer.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"
#include "unit/checkpoint/raw_files.h"

namespace condense {
namespace {

using ::testing::ElementsAre;

class CheckpointFolder : public ::testing::Test {
 protected:
  void WriteIndex(const std::string& weight_map) {
    WriteFileAtomically(path_ / "model.safetensors.index.json",
                        "{\"metadata\": {}, \"weight_map\": " + weight_map + "}");
  }
  std::function<void()> Opening() {
    return [path = path_] { Checkpoint::Open(path); };
  }

  TempFolder folder_;
  std::filesystem::path path_ = folder_.path();
};

TEST_F(CheckpointFolder, WithShardsIsOneSetOfTensors) {
  WritePairs(path_ / "one.safetensors", {"b", "d"});
  WritePairs(path_ / "two.safetensors", {"a", "c"});
  WriteIndex(
      R"({"a": "two.safetensors", "b": "one.safetensors", "c": "two.safetensors", "d": "one.safetensors"})");
  const Checkpoint checkpoint = Checkpoint::Open(path_);
  EXPECT_THAT(checkpoint.Names(), ElementsAre("a", "b", "c", "d"));
  EXPECT_EQ(checkpoint.Info("a").file, path_ / "two.safetensors");
  EXPECT_EQ(checkpoint.Info("a").elements(), 2);
  EXPECT_THAT(checkpoint.Files(),
              ElementsAre(path_ / "one.safetensors", path_ / "two.safetensors"));
  EXPECT_TRUE(checkpoint.Has("d"));
  EXPECT_FALSE(checkpoint.Has("e"));
}

TEST_F(CheckpointFolder, NamesTheMissingShard) {
  WritePairs(path_ / "one.safetensors", {"a"});
  WriteIndex(R"({"a": "one.safetensors", "b": "two.safetensors"})");
  EXPECT_THAT(Opening(), FailsWith("index.json", "'two.safetensors'", "missing"));
}

TEST_F(CheckpointFolder, NamesTheTensorThatItsIndexPromises) {
  WritePairs(path_ / "one.safetensors", {"a"});
  WriteIndex(R"({"a": "one.safetensors", "b": "one.safetensors"})");
  EXPECT_THAT(Opening(), FailsWith("one.safetensors", "'b'", "missing"));
}

TEST_F(CheckpointFolder, NamesTheTensorThatItsIndexDoesNotKnow) {
  WritePairs(path_ / "one.safetensors", {"a", "b"});
  WriteIndex(R"({"a": "one.safetensors"})");
  EXPECT_THAT(Opening(), FailsWith("one.safetensors", "'b'", "not named"));
}

TEST_F(CheckpointFolder, RefusesANameInTwoShards) {
  WritePairs(path_ / "one.safetensors", {"a", "b"});
  WritePairs(path_ / "two.safetensors", {"b", "c"});
  WriteIndex(R"({"a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"})");
  EXPECT_THAT(Opening(), FailsWith("two.safetensors", "'b'", "one.safetensors", "once"));
}

TEST_F(CheckpointFolder, RefusesAMalformedIndex) {
  WritePairs(path_ / "one.safetensors", {"a"});
  for (const char* map : {"[]", "{}", "5", "{\"a\": 5}", "{\"a\": \"\"}"}) {
    WriteIndex(map);
    EXPECT_THAT(Opening(), FailsWith("model.safetensors.index.json")) << map;
  }
  WriteIndex(R"({"a": "../one.safetensors"})");
  EXPECT_THAT(Opening(), FailsWith("'a'", "../one.safetensors", "file in the folder"));
  WriteIndex(R"({"a": "one.safetensors", "a": "one.safetensors"})");
  EXPECT_THAT(Opening(), FailsWith("\"a\"", "twice"));
  WriteFileAtomically(path_ / "model.safetensors.index.json", "[]");
  EXPECT_THAT(Opening(), FailsWith("weight_map"));
}

TEST_F(CheckpointFolder, WithoutWeightsSaysWhatIsLookedFor) {
  EXPECT_THAT(Opening(), FailsWith("model.safetensors,", "model.safetensors.index.json",
                                   "pytorch_model.bin,", "pytorch_model.bin.index.json", "empty"));
  WriteFileAtomically(path_ / "model.gguf", "GGUF");
  EXPECT_THAT(Opening(), FailsWith("no weights", "holds model.gguf"));
  EXPECT_THAT([&] { Checkpoint::Open(path_ / "absent"); }, FailsWith("absent", "no such folder"));
  EXPECT_THAT([&] { Checkpoint::Open(path_ / "model.gguf"); }, FailsWith("is a file"));
}

TEST_F(CheckpointFolder, SuggestsTheNearestNameOfAMissingTensor) {
  WritePairs(path_ / "model.safetensors", {"model.norm.weight", "lm_head.weight"});
  const Checkpoint checkpoint = Checkpoint::Open(path_);
  EXPECT_THAT([&] { checkpoint.Get("model.norn.weight"); },
              FailsWith(path_.string(), "'model.norn.weight'", "'model.norm.weight'"));
  EXPECT_THAT([&] { checkpoint.Info("x"); }, FailsWith("lm_head.weight"));
}

TEST_F(CheckpointFolder, RefusesAnotherShapeThanExpected) {
  WritePairs(path_ / "model.safetensors", {"w"});
  const Checkpoint checkpoint = Checkpoint::Open(path_);
  EXPECT_EQ(checkpoint.Get("w", {2}).numel(), 2);
  EXPECT_THAT(
      [&] {
        checkpoint.Get("w", {1, 2});
      },
      FailsWith("model.safetensors", "'w'", "[2]", "expected [1, 2]"));
}

TEST_F(CheckpointFolder, HasADigestOfItsFilesAndConfig) {
  WritePairs(path_ / "model.safetensors", {"w"});
  const std::string weights = Sha256File(path_ / "model.safetensors");
  EXPECT_EQ(Checkpoint::Open(path_).Digest(), Sha256Hex(weights));
  WriteFileAtomically(path_ / "config.json", "{}");
  EXPECT_EQ(Checkpoint::Open(path_).Digest(), Sha256Hex(Sha256Hex("{}") + weights));
}

TEST_F(CheckpointFolder, IsNotReadUntilATensorIsAskedFor) {
  const int64_t elements = 16 << 20;
  WriteTensors(path_ / "model.safetensors", {{"w", at::ones({elements}, kF32)}});
  const Checkpoint checkpoint = Checkpoint::Open(path_);
  const uint64_t before = CurrentResidentBytes();
  const Tensor w = checkpoint.Get("w");
  EXPECT_LT(CurrentResidentBytes(), before + (8 << 20));
  EXPECT_EQ(w.sum().item<float>(), static_cast<float>(elements));
  EXPECT_GT(CurrentResidentBytes(), before + (48 << 20));
  checkpoint.Release("w");
  EXPECT_LT(CurrentResidentBytes(), before + (8 << 20));
  EXPECT_EQ(w[7].item<float>(), 1);  // read again from the file
}

// Parameter counts as the models' own README states them; tied heads are stored once.
TEST(SharedModels, HaveTheDocumentedParameters) {
  const std::pair<const char*, int64_t> models[] = {{"llama2-mini", 4229568},
                                                    {"llama3-mini", 3934656},
                                                    {"opt-mini", 3652992},
                                                    {"stories260k", 260032}};
  for (const auto& [name, expected] : models) {
    const auto folder = SharedFolder() / "models" / name;
    CONDENSE_SKIP_WITHOUT(folder);
    const Checkpoint checkpoint = Checkpoint::Open(folder);
    int64_t parameters = 0;
    for (const std::string& tensor : checkpoint.Names()) {
      parameters += checkpoint.Info(tensor).elements();
    }
    EXPECT_EQ(parameters, expected) << name;
    EXPECT_EQ(checkpoint.FileBytes(), std::filesystem::file_size(folder / "model.safetensors"));
  }
}

}  // namespace
}  // namespace condense
