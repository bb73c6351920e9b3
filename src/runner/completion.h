// Completion scripts for shells, made from the options of all commands.
#pragma once

#include <string>
#include <vector>

namespace condense {

const std::vector<std::string>& CompletionShells();  // bash, zsh, fish
// CONDENSE_CHECKs that the shell is one of them.
std::string CompletionScript(const std::string& shell);

}  // namespace condense
