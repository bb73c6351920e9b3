#include "config/paths.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <fstream>
#include <optional>

#include "base/error.h"
#include "support/temp_folder.h"

namespace condense {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Sets an environment variable until the end of the scope.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = ::getenv(name)) old_ = old;
    ::setenv(name, value.c_str(), 1);
  }
  ~ScopedVariable() { old_ ? ::setenv(name_, old_->c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

class DataFolder : public testing::Test {
 protected:
  std::filesystem::path Make(const std::string& relative) const {
    const auto folder = temp_.path() / relative;
    std::filesystem::create_directories(folder);
    return folder;
  }
  std::filesystem::path Find(const Surroundings& surroundings) const {
    return FindDataFolder("configs", "CONDENSE_CONFIGS", surroundings);
  }
  std::string Error(const Surroundings& surroundings) const {
    try {
      Find(surroundings);
    } catch (const DataError& error) {
      return error.what();
    }
    return "no error";
  }

  TempFolder temp_;
};

TEST_F(DataFolder, OrderIsEnvironmentInstalledSourceTreeCurrent) {
  const auto here = Make("here/configs");
  Surroundings at{temp_.path() / "tree/build/ci/runner", temp_.path() / "here"};
  EXPECT_EQ(Find(at), here);
  Make("tree/configs");
  EXPECT_EQ(Find(at), here) << "a folder without experiments/ is no source tree";
  Make("tree/experiments");
  EXPECT_EQ(Find(at), temp_.path() / "tree/configs");
  const auto installed = Make("tree/build/share/condense/configs");
  EXPECT_EQ(Find(at), installed);
  const auto named = Make("named");
  at.named = named.c_str();
  EXPECT_EQ(Find(at), named);
}

TEST_F(DataFolder, EnvironmentThatNamesNoFolderIsAnError) {
  Make("here/configs");
  EXPECT_THAT(Error({{}, temp_.path() / "here", "/no/such/folder"}),
              HasSubstr("CONDENSE_CONFIGS names '/no/such/folder'"));
}

TEST_F(DataFolder, ErrorNamesAllPlaces) {
  const std::string message = Error({temp_.path() / "bin/runner", temp_.path() / "here"});
  EXPECT_THAT(message, HasSubstr((temp_.path() / "share/condense/configs").string()));
  EXPECT_THAT(message, HasSubstr((temp_.path() / "bin").string() + " that hold"));
  EXPECT_THAT(message, HasSubstr((temp_.path() / "here/configs").string()));
  EXPECT_THAT(message, HasSubstr("CONDENSE_CONFIGS"));
}

TEST_F(DataFolder, NamedConfigsAreListedAndFound) {
  const auto models = Make("models");
  for (const char* file : {"opt-mini.yaml", "llama-3.1.yaml", "notes.txt"}) {
    std::ofstream(models / file) << "{}";
  }
  Make("models/folder.yaml");
  const ScopedVariable variable("CONDENSE_CONFIGS", temp_.path().string());
  EXPECT_THAT(ListConfigs("models"), ElementsAre("llama-3.1", "opt-mini"));
  EXPECT_THAT(ListConfigs("tasks"), IsEmpty());
  EXPECT_EQ(NamedConfig("models", "llama-3.1"), models / "llama-3.1.yaml");
}

TEST_F(DataFolder, UnknownNameSuggestsTheNearest) {
  std::ofstream(Make("models") / "opt-mini.yaml") << "{}";
  const ScopedVariable variable("CONDENSE_CONFIGS", temp_.path().string());
  for (const char* name : {"opt-mimi", "", "../models/opt-mini", "opt-mini.yaml"}) {
    EXPECT_THROW(NamedConfig("models", name), ConfigError) << name;
  }
  try {
    NamedConfig("models", "opt-mimi");
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("no 'opt-mimi.yaml' in"));
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'opt-mini'?"));
  }
}

TEST_F(DataFolder, ExperimentsFollowTheirOwnVariable) {
  const auto named = Make("mine");
  const ScopedVariable variable("CONDENSE_EXPERIMENTS", named.string());
  EXPECT_EQ(ExperimentsFolder(), named);
}

}  // namespace
}  // namespace condense
