// A GGUF file as --model: every command says of it what it says of the folder that import makes.
#include <gmock/gmock.h>

#include "support/gguf_vocabulary.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"
#include "unit/runner/runner_process.h"

namespace condense {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

GgufBytes WholeFile() {
  const auto folder = ModelFolder("llama3-mini");
  GgufBytes bytes = GgufOfFolder(folder);
  AddByteLevelVocabulary(bytes, folder);
  return bytes;
}

// Entries of metadata that only a part of a split file has.
GgufBytes Part(GgufBytes part, uint16_t number, uint16_t count, uint32_t tensors) {
  part.Uint16("split.no", number).Uint16("split.count", count);
  part.Entry("split.tensors.count", GgufKind::kInt32, Raw(tensors));
  return part;
}

class GgufPlace : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(alone_);
    WriteFileAtomically(file_, WholeFile().Bytes());
    const ProgramResult imported =
        CallProgramWith({"import", file_.string(), "--out", imported_.string()});
    ASSERT_EQ(imported.exit_code, 0) << imported.err;
    WriteText(text_,
              "The river runs through the old town, and the mill stands still. It has 3 wheels.");
  }
  // What a command prints, of which the place is named nowhere.
  static std::string Printed(std::vector<std::string> arguments, const fs::path& place) {
    arguments.insert(arguments.begin() + 1, {"--model", place.string()});
    const ProgramResult result = CallProgramWith(arguments, "\"The mill stands still.\"\n");
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  }

  TempFolder folder_;
  fs::path alone_ = folder_.path() / "alone", file_ = alone_ / "model.gguf",
           imported_ = folder_.path() / "imported", text_ = folder_.path() / "text.txt";
};

TEST_F(GgufPlace, SaysWhatTheImportedFolderSays) {
  const std::vector<std::vector<std::string>> commands{
      {"tokenize"},
      {"generate", "--prompt", "Once upon a time", "--tokens", "8"},
      {"evaluate", "--text", text_.string(), "--window", "8", "--json"}};
  for (const auto& command : commands) {
    SCOPED_TRACE(command.front());
    std::string expected = Printed(command, imported_);
    if (command.front() == "evaluate") {
      const auto value = [](const std::string& text) {
        return nlohmann::json::parse(text).at("perplexity");
      };
      EXPECT_EQ(value(Printed(command, file_)), value(expected));
      EXPECT_EQ(value(Printed(command, alone_)), value(expected));
      continue;
    }
    EXPECT_EQ(Printed(command, file_), expected);
    EXPECT_EQ(Printed(command, alone_), expected);
  }
  const auto inspected = CallProgramWith({"inspect", file_.string(), "--json"}).Json();
  const auto folder = CallProgramWith({"inspect", imported_.string(), "--json"}).Json();
  for (const char* key : {"parameters", "layers"}) {
    if (folder.contains(key)) {
      EXPECT_EQ(inspected.at(key), folder.at(key)) << key;
    }
  }
}

TEST_F(GgufPlace, IsCompressedToTheSameModel) {
  const auto compressed = [&](const fs::path& model, const char* out) {
    const ProgramResult result =
        CallProgramWith({"compress", "--model", model.string(), "--method", "magnitude", "--ratio",
                         "0.2", "--calibration", "text:" + text_.string(), "--samples", "1",
                         "--length", "8", "--out", (folder_.path() / out).string()});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return folder_.path() / out;
  };
  const fs::path a = compressed(file_, "a"), b = compressed(imported_, "b");
  for (const char* name : {"model.safetensors", "config.json", "tokenizer.json",
                           "tokenizer_config.json", "generation_config.json"}) {
    EXPECT_EQ(ReadFile(a / name), ReadFile(b / name)) << name;
  }
}

TEST_F(GgufPlace, MayBeSplit) {
  const GgufBytes whole = WholeFile();
  const auto count = static_cast<uint32_t>(whole.tensors.size());
  GgufBytes first = Part(whole, 0, 2, count), second = Part({}, 1, 2, count);
  second.data = whole.data;  // offsets stay those of the whole
  first.tensors.resize(count / 2);
  second.tensors.assign(whole.tensors.begin() + count / 2, whole.tensors.end());
  const fs::path split = folder_.path() / "split";
  fs::create_directory(split);
  WriteFileAtomically(split / "m-00001-of-00002.gguf", first.Bytes());
  WriteFileAtomically(split / "m-00002-of-00002.gguf", second.Bytes());
  const std::vector<std::string> command{"generate", "--prompt", "Once", "--tokens", "8"};
  const std::string expected = Printed(command, imported_);
  EXPECT_EQ(Printed(command, split / "m-00002-of-00002.gguf"), expected);
  EXPECT_EQ(Printed(command, split), expected);
  fs::remove(split / "m-00002-of-00002.gguf");
  const ProgramResult missing = CallProgramWith({"inspect", split.string()});
  EXPECT_EQ(missing.exit_code, 3);
  EXPECT_THAT(missing.err, HasSubstr("m-00002-of-00002.gguf is missing"));
}

TEST_F(GgufPlace, IsNamedWhereAFolderHoldsSeveral) {
  fs::copy_file(file_, alone_ / "other.gguf");
  const ProgramResult several = CallProgramWith({"inspect", alone_.string()});
  EXPECT_EQ(several.exit_code, 3);
  EXPECT_THAT(several.err, HasSubstr("holds 2 models in GGUF files (model.gguf, other.gguf)"));
  const ProgramResult absent = CallProgramWith({"inspect", (alone_ / "no.gguf").string()});
  EXPECT_EQ(absent.exit_code, 2);
  EXPECT_THAT(absent.err, HasSubstr("no.gguf: no such file"));
}

}  // namespace
}  // namespace condense
