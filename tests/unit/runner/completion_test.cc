// Completion scripts, run by the shells themselves.
#include "runner/completion.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <map>

#include "base/strings.h"
#include "unit/runner/runner_process.h"

namespace condense {
namespace {

using testing::Contains;
using testing::IsSupersetOf;
using testing::Not;

// Completions of lines; each ends with the word under the cursor, which may be empty.
using Completions = std::map<std::vector<std::string>, std::vector<std::string>>;

class Shell {
 public:
  explicit Shell(std::string name) : name_(std::move(name)) {}

  bool Installed() const {
    return std::system(("command -v " + name_ + " >/dev/null").c_str()) == 0;
  }

  Completions Complete(const std::vector<std::vector<std::string>>& lines) const {
    const std::filesystem::path script = folder_.path() / "completion";
    WriteText(script, CompletionScript(name_));
    std::string program = Prepared(script.string());
    for (const auto& line : lines) program += "echo =\n" + Completed(line) + "\n";
    WriteText(folder_.path() / "program", program);
    const std::string command = "cd '" + SourceFolder().string() + "' && PATH='" +
                                RunnerPath().parent_path().string() + "':\"$PATH\" HOME='" +
                                folder_.path().string() + "' " + name_ + " '" +
                                (folder_.path() / "program").string() + "' >'" +
                                (folder_.path() / "out").string() + "' </dev/null";
    EXPECT_EQ(std::system(command.c_str()), 0);
    Completions completions;
    auto line = lines.begin() - 1;
    for (const std::string& word : Split(ReadFile(folder_.path() / "out"), '\n')) {
      if (word == "=") {
        ++line;
      } else if (!word.empty()) {
        completions[*line].push_back(word);
      }
    }
    return completions;
  }

 private:
  std::string Prepared(const std::string& script) const {
    if (name_ == "bash") {
      return "source " + script +
             "\ncompopt() { :; }\n"
             "complete_line() {\n"
             "  COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1)) COMPREPLY=()\n"
             "  _runner_complete\n"
             "  printf '%s\\n' \"${COMPREPLY[@]}\"\n"
             "}\n";
    }
    if (name_ == "fish") return "source " + script + "\n";
    // zsh completes in interactive shells alone: one on a terminal of its own writes what is added.
    const std::string rc = (folder_.path() / "rc").string();
    WriteText(rc, "autoload -Uz compinit && compinit -D -u\nsource " + script +
                      "\nLISTMAX=100000 PROMPT=\n"
                      "compadd() {\n"
                      "  local -a hits\n"
                      "  if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\\ * ]]; then\n"
                      "    builtin compadd -A hits \"$@\"\n"
                      "    print -rl -- $hits >>" +
                      (folder_.path() / "hits").string() +
                      "\n  fi\n"
                      "  builtin compadd \"$@\"\n"
                      "}\n"
                      "written() { print -r -- end >>" +
                      (folder_.path() / "hits").string() +
                      "; zle kill-whole-line }\nzle -N written\nbindkey '^X' written\n"
                      "bindkey '^I' complete-word\nunsetopt beep\n");
    return "zmodload zsh/zpty zsh/zselect\n"
           "zpty shell 'zsh -f -i'\n"
           "zpty -w shell ' source " +
           rc +
           "'\n"
           "hits=" +
           (folder_.path() / "hits").string() +
           "\ncomplete_line() {\n"
           "  : >$hits\n"
           "  zpty -n -w shell \"$1\"$'\\t\\x18'\n"
           "  repeat 3000; do\n"
           "    [[ $(tail -n 1 $hits) != end ]] || break\n"
           "    zselect -t 1\n"
           "    zpty -r -t shell REPLY\n"
           "  done\n"
           "  grep -vx end $hits || true\n"
           "}\n";
  }

  std::string Completed(const std::vector<std::string>& line) const {
    std::string words;
    if (name_ == "bash") {
      for (const std::string& word : line) words += " '" + word + "'";
      return "complete_line" + words;
    }
    if (name_ == "fish")
      return "complete -C '" + Join(line, " ") + "' | string replace -r '\\t.*' ''";
    return "complete_line '" + Join(line, " ") + "'";
  }

  std::string name_;
  TempFolder folder_;
};

class ShellCompletion : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!shell_.Installed()) GTEST_SKIP() << GetParam() << " is not installed";
  }
  Shell shell_{GetParam()};
};

TEST_P(ShellCompletion, OffersEveryCommandAndEveryOption) {
  std::vector<std::vector<std::string>> lines = {{"runner", ""}};
  std::vector<std::string> names;
  for (const Command& command : AllCommands()) {
    names.push_back(command.name);
    lines.push_back({"runner", command.name, "--"});
  }
  Completions completions = shell_.Complete(lines);
  EXPECT_THAT(completions[lines[0]], IsSupersetOf(names));
  for (const Command& command : AllCommands()) {
    std::vector<std::string> options;
    for (const Option& option : command.options) {
      if (!IsPositional(command, option.name)) options.push_back("--" + option.name);
    }
    for (const Option& option : CommonOptions()) options.push_back("--" + option.name);
    EXPECT_THAT((completions[{"runner", command.name, "--"}]), IsSupersetOf(options))
        << command.name;
  }
}

TEST_P(ShellCompletion, OffersTheValuesOfOptions) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"runner", "compress", "--dtype", "b"}, "bfloat16"},
      {{"runner", "compress", "--match", "total"}, "total_abs"},
      {{"runner", "compress", "--method", "mode"}, "modegpt"},
      {{"runner", "compress", "--model", "llama2-m"}, "llama2-mini"},
      {{"runner", "compress", "--calibration", "te"}, "text:"},
      {{"runner", "table", "--format", "t"}, "tex"},
      {{"runner", "figure", "--format", "t"}, "text"},
      {{"runner", "list", "proto"}, "protocols"},
      {{"runner", "describe", "slice"}, "slicegpt"},
      {{"runner", "inspect", "opt-m"}, "opt-mini"},
      {{"runner", "experiments/smoke.yaml", "--rerun", "f"}, "failed"},
      {{"runner", "--dry"}, "--dry-run"},
  };
  std::vector<std::vector<std::string>> lines;
  for (const auto& [line, expected] : cases) lines.push_back(line);
  Completions completions = shell_.Complete(lines);
  for (const auto& [line, expected] : cases) {
    EXPECT_THAT(completions[line], Contains(expected)) << Join(line, " ");
    EXPECT_THAT(completions[line], Not(Contains("--help"))) << Join(line, " ");
  }
}

TEST_P(ShellCompletion, OffersFilesAndLists) {
  const std::vector<std::string> file = {"runner", "table", "experiments/smo"},
                                 folder = {"runner", "compress", "--out", "config"},
                                 list = {"runner", "stats", "--average", "seed,mod"};
  Completions completions = shell_.Complete({file, folder, list});
  const auto offers = [&](const std::vector<std::string>& line, const std::string& part) {
    for (const std::string& word : completions[line]) {
      if (word.find(part) != std::string::npos) return true;
    }
    return false;
  };
  EXPECT_TRUE(offers(file, "smoke.yaml"));
  EXPECT_TRUE(offers(folder, "configs"));
  EXPECT_TRUE(offers(list, "model"));
}

INSTANTIATE_TEST_SUITE_P(Shells, ShellCompletion, testing::ValuesIn(CompletionShells()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace condense
