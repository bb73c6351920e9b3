// runner completion: prints the completion script of a shell.
#include <iostream>

#include "runner/command.h"
#include "runner/completion.h"

namespace condense {
namespace {

int Run(const Arguments& arguments) {
  std::cout << CompletionScript(arguments.Text("shell"));
  return 0;
}

}  // namespace

Command CompletionCommand() {
  return {
      .name = "completion",
      .summary = "print a completion script for bash, zsh or fish",
      .usage = "runner completion bash|zsh|fish",
      .details =
          "`cmake --install` installs the completions. To load them into the current shell only:\n"
          "bash: source <(runner completion bash)\n"
          "zsh: source <(runner completion zsh), after compinit\n"
          "fish: runner completion fish | source",
      .example = "runner completion bash > ~/.local/share/bash-completion/completions/runner",
      .options = {ChoiceOption("shell", "SHELL", CompletionShells(), "bash, zsh or fish")},
      .positional = {"shell"},
      .run = Run};
}

}  // namespace condense
