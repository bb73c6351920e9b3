// Where the program writes: never over the model it reads or over what it did not make, and nothing
// is lost when the place is full, read-only or moved.
#include <gmock/gmock.h>
#include <sys/mount.h>

#include <cstring>

#include "support/gguf_vocabulary.h"
#include "unit/runner/runner_process.h"

namespace condense {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

std::map<std::string, std::string> Contents(const fs::path& folder) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file())
      contents[fs::relative(entry, folder).string()] = ReadFile(entry.path());
  }
  return contents;
}

class Places : public testing::Test {
 protected:
  fs::path folder() const { return configs_.folder(); }
  ProgramResult Compress(const std::string& model, const fs::path& out,
                         std::vector<std::string> more = {}, const std::string& method = "shortgpt",
                         const std::string& ratio = "0.2") const {
    more.insert(more.begin(), {"compress", "--model", model, "--method", method, "--ratio", ratio,
                               "--calibration", "tiny-8x64", "--out", out.string()});
    return CallProgramWith(more);
  }
  std::string Experiment() const {
    return configs_
        .Experiment("places",
                    "title: Places\nmodels: [llama3-mini]\nmethods: [dense, shortgpt]\n"
                    "ratios: [0.2]\ncalibration: [tiny-8x64]\nperplexity: [tiny-64]\n"
                    "table: {cell: perplexity}\n")
        .string();
  }

  TinyConfigs configs_;
};

TEST_F(Places, TheModelItselfIsNeverReplaced) {
  const fs::path model = folder() / "model";
  fs::copy(BundledModel("llama3-mini"), model);
  fs::create_directory_symlink(model, folder() / "link");
  const auto before = Contents(model);
  for (const fs::path& out : {model, model / ".." / "model" / "", folder() / "link",
                              model / "compressed", folder() / "link" / "deep" / "er"}) {
    const ProgramResult result = Compress(model.string(), out);
    EXPECT_EQ(result.exit_code, 2) << out;
    EXPECT_THAT(result.err, HasSubstr("is the folder of the model itself, or lies in it"));
  }
  EXPECT_EQ(Contents(model), before);
  EXPECT_TRUE(fs::is_symlink(folder() / "link"));
}

TEST_F(Places, OnlyWhatTheProgramMadeIsReplaced) {
  fs::copy(BundledModel("opt-mini"), folder() / "other");
  WriteText(folder() / "notes/chapter.tex", "text");
  WriteText(folder() / "file", "text");
  fs::create_directories(folder() / "parent/child");
  for (const auto& [place, says] : std::map<std::string, std::string>{
           {"other", "holds a model that this program did not write"},
           {"notes", "exists and holds no weights"},
           {"file", "is a file, expected a folder"},
           {"file/below", "cannot create the folder"},
           {"parent", "holds the folder 'child'"}}) {
    const auto before = Contents(folder());
    const ProgramResult result = Compress("llama3-mini", folder() / place);
    EXPECT_EQ(result.exit_code, 3) << place;
    EXPECT_THAT(result.err, HasSubstr(says));
    EXPECT_EQ(Contents(folder()), before) << place;
  }
  EXPECT_EQ(Compress("llama3-mini", folder() / "out").exit_code, 0);
  EXPECT_EQ(Compress("llama3-mini", folder() / "out").exit_code, 0);
  EXPECT_THAT(Compress("llama3-mini", "").err, HasSubstr("--out is empty"));
}

TEST_F(Places, ACompressedFolderCanBeMovedButNotCompressedAgain) {
  ASSERT_EQ(Compress("opt-mini", folder() / "out", {}, "slicegpt").exit_code, 0);
  const auto evaluate = [](const fs::path& model) {
    const ProgramResult result =
        CallProgramWith({"evaluate", "--model", model.string(), "--protocol", "tiny-64", "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.Json().at("perplexity").get<double>();
  };
  const double before = evaluate(folder() / "out");
  fs::rename(folder() / "out", folder() / "moved");
  EXPECT_EQ(evaluate(folder() / "moved"), before);
  for (const char* method : {"slicegpt", "modegpt", "shortgpt"}) {
    const ProgramResult again =
        Compress((folder() / "moved").string(), folder() / "twice", {}, method);
    EXPECT_EQ(again.exit_code, 2) << method;
    EXPECT_THAT(again.err, HasSubstr("the model is compressed already")) << method;
  }
  EXPECT_FALSE(fs::exists(folder() / "twice"));
}

// A small file system of its own, where the system allows it.
class SmallDisk {
 public:
  explicit SmallDisk(fs::path path) : path_(std::move(path)) {
    fs::create_directories(path_);
    mounted_ = ::mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=4m") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  void Fill() const {
    std::ofstream file(path_ / "fill", std::ios::binary);
    const std::string block(4096, 'x');
    while (file.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  void MakeReadOnly() const {
    ASSERT_EQ(::mount("", path_.c_str(), "", MS_REMOUNT | MS_RDONLY, ""), 0)
        << std::strerror(errno);
  }

 private:
  fs::path path_;
  bool mounted_ = false;
};

TEST_F(Places, AnImportThatDoesNotFitLeavesNothing) {
  const fs::path disk = folder() / "disk", file = folder() / "model.gguf";
  const SmallDisk small(disk);
  if (!small.mounted()) GTEST_SKIP() << "may not mount";
  GgufBytes bytes = GgufOfFolder(BundledModel("llama3-mini"));
  AddByteLevelVocabulary(bytes, BundledModel("llama3-mini"));
  WriteFileAtomically(file, bytes.Bytes());
  const ProgramResult full =
      CallProgramWith({"import", file.string(), "--out", (disk / "model").string()});
  EXPECT_EQ(full.exit_code, 3);
  EXPECT_THAT(full.err, HasSubstr("No space left on device"));
  EXPECT_TRUE(fs::is_empty(disk));
}

TEST_F(Places, AFullDiskFailsCellsAndKeepsResults) {
  const fs::path disk = folder() / "disk";
  const SmallDisk small(disk);
  if (!small.mounted()) GTEST_SKIP() << "may not mount";
  const std::string database = (disk / "results.sqlite").string(), experiment = Experiment();
  // The compressed model does not fit.
  const ProgramResult first = CallProgramWith({experiment, "--db", database});
  EXPECT_EQ(first.exit_code, 1);
  EXPECT_THAT(first.err, HasSubstr("No space left on device; free some space and start again"));
  small.Fill();
  const ProgramResult full = CallProgramWith({experiment, "--db", database, "--rerun", "failed"});
  EXPECT_EQ(full.exit_code, 3);
  EXPECT_THAT(full.err, HasSubstr("No space left on device"));
  EXPECT_EQ(Compress("llama3-mini", disk / "out").exit_code, 3);
  const ProgramResult table = CallProgramWith({"table", experiment, "--db", database});
  EXPECT_EQ(table.exit_code, 0) << table.err;
  EXPECT_EQ(table.out, first.out);
  fs::remove(disk / "fill");
  const ProgramResult last = CallProgramWith(
      {experiment, "--db", database, "--rerun", "failed", "--set", "artefacts=discard"});
  EXPECT_THAT(last.err, Not(HasSubstr("llama3-mini dense")));
}

TEST_F(Places, AReadOnlyFolderIsRefusedBeforeWorkAndCanBeRead) {
  const fs::path disk = folder() / "disk";
  const SmallDisk small(disk);
  if (!small.mounted()) GTEST_SKIP() << "may not mount";
  const std::string database = (disk / "results.sqlite").string(), experiment = Experiment();
  const ProgramResult first = CallProgramWith({experiment, "--db", database});
  small.MakeReadOnly();
  for (const std::string& place : {database, (disk / "new.sqlite").string()}) {
    const ProgramResult run = CallProgramWith({experiment, "--db", place});
    EXPECT_EQ(run.exit_code, 3);
    EXPECT_THAT(run.err, HasSubstr("not writable"));
    EXPECT_THAT(run.err, HasSubstr("Read-only file system"));
    EXPECT_THAT(run.err, Not(HasSubstr("[1/")));
  }
  EXPECT_EQ(Compress("llama3-mini", disk / "out").exit_code, 3);
  EXPECT_EQ(CallProgramWith({"table", experiment, "--db", database}).out, first.out);
  EXPECT_EQ(CallProgramWith({experiment, "--db", database, "--dry-run"}).exit_code, 0);
}

}  // namespace
}  // namespace condense
