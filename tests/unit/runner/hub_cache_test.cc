// Models in a Hugging Face cache, and folders that look like models and are none.
#include <gmock/gmock.h>
#include <stdlib.h>

#include "unit/runner/runner_process.h"

namespace condense {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kRevision = "0123456789abcdef0123456789abcdef01234567";

// A cache as the hub's library lays it out: every file of a snapshot is a link to a blob.
void PutIntoCache(const fs::path& cache, const std::string& name, const std::string& revision,
                  const fs::path& model) {
  const fs::path folder = cache / name, snapshot = folder / "snapshots" / revision;
  fs::create_directories(snapshot);
  fs::create_directories(folder / "blobs");
  for (const auto& entry : fs::directory_iterator(model)) {
    const fs::path file = entry.path().filename();
    const std::string blob = revision.substr(0, 8) + file.string();
    fs::copy_file(entry.path(), folder / "blobs" / blob, fs::copy_options::overwrite_existing);
    fs::create_symlink(fs::path("../../blobs") / blob, snapshot / file);
  }
}

class HubCache : public testing::Test {
 protected:
  HubCache() {
    PutIntoCache(cache(), "models--org--mini", kRevision, BundledModel("llama2-mini"));
    WriteText(cache() / "models--org--mini/refs/main", kRevision);
    for (const char* variable :
         {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"}) {
      ::unsetenv(variable);
    }
    ::setenv("HOME", (folder_.path() / "home").c_str(), 1);
  }
  ~HubCache() override { ::unsetenv("HF_HUB_CACHE"), ::unsetenv("HF_HOME"); }

  fs::path cache() const { return folder_.path() / "cache"; }
  static ProgramResult Inspect(const std::string& model, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"inspect", model, "--json"});
    return CallProgramWith(more);
  }
  static void ExpectFound(const ProgramResult& result) {
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.Json().at("parameters"),
              Inspect(BundledModel("llama2-mini")).Json().at("parameters"));
  }

  TinyConfigs configs_;
  TempFolder folder_;
};

TEST_F(HubCache, AModelIsFoundByItsFolderInTheCache) {
  ExpectFound(Inspect((cache() / "models--org--mini").string()));
  ExpectFound(Inspect((cache() / "models--org--mini/snapshots" / kRevision).string()));
}

TEST_F(HubCache, AnIdIsFoundBelowModelsAndInTheUsersCache) {
  ExpectFound(Inspect("org/mini", {"--models", cache().string()}));
  ::setenv("HF_HUB_CACHE", cache().c_str(), 1);
  ExpectFound(Inspect("org/mini"));
  ::unsetenv("HF_HUB_CACHE");
  fs::create_directories(folder_.path() / "home/.cache/huggingface");
  fs::create_directory_symlink(cache(), folder_.path() / "home/.cache/huggingface/hub");
  ExpectFound(Inspect("org/mini"));
  fs::create_directory_symlink(cache(), folder_.path() / "hub");
  ::setenv("HF_HOME", folder_.path().c_str(), 1);
  ExpectFound(Inspect("org/mini"));
  ExpectFound(Inspect("org/mini", {"--models", folder_.path().string()}));
}

TEST_F(HubCache, ANamedModelIsFoundInACacheBelowModels) {
  PutIntoCache(cache(), "models--meta-llama--Llama-2-7b-hf", kRevision,
               BundledModel("llama2-mini"));
  ExpectFound(Inspect("llama-2-7b", {"--models", cache().string()}));
}

TEST_F(HubCache, TheBranchDecidesAmongSnapshots) {
  const fs::path model = cache() / "models--org--mini";
  PutIntoCache(cache(), "models--org--mini", "fedcba9876543210", BundledModel("opt-mini"));
  ExpectFound(Inspect(model.string()));
  WriteText(model / "refs/main", "../../..\n");  // no name of a revision
  const ProgramResult several = Inspect(model.string());
  EXPECT_EQ(several.exit_code, 3);
  EXPECT_THAT(several.err, HasSubstr("refs/main names no complete snapshot"));
  fs::remove_all(model / "snapshots/fedcba9876543210");
  ExpectFound(Inspect(model.string()));
}

TEST_F(HubCache, AnUnfinishedDownloadIsSaid) {
  const fs::path model = cache() / "models--org--mini";
  fs::remove(fs::canonical(model / "snapshots" / kRevision / "model.safetensors"));
  const ProgramResult result = Inspect(model.string());
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("model.safetensors"), HasSubstr("link"), HasSubstr("download")));
}

TEST_F(HubCache, AMissingIdSaysWhereItWasLookedFor) {
  const ProgramResult missing = Inspect("org/other", {"--models", cache().string()});
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_THAT(missing.err, AllOf(HasSubstr((cache() / "org/other").string()),
                                 HasSubstr((cache() / "models--org--other").string()),
                                 HasSubstr("home/.cache/huggingface/hub/models--org--other"),
                                 HasSubstr("hf download org/other")));
}

TEST_F(HubCache, AWholeCacheListsItsModels) {
  const ProgramResult result = Inspect(cache().string());
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, AllOf(HasSubstr("a Hugging Face cache"), HasSubstr("--model org/mini")));
}

TEST_F(HubCache, AFolderInMetasFormatGetsTheCommandThatConvertsIt) {
  const fs::path meta = folder_.path() / "meta";
  WriteText(meta / "consolidated.00.pth", "");
  for (const bool with_params : {false, true}) {
    if (with_params) WriteText(meta / "params.json", "{}");
    const ProgramResult result = Inspect(meta.string());
    EXPECT_EQ(result.exit_code, 3);
    EXPECT_THAT(result.err, AllOf(HasSubstr("Meta's own format"), HasSubstr("python -m")));
  }
}

}  // namespace
}  // namespace condense
