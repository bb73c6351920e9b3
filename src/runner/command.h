// A subcommand of the program: its options, help and work. One file each in commands/;
// command_list.cc lists them.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "runner/arguments.h"
#include "runner/options.h"

namespace condense {

struct Command {
  std::string name;
  std::string summary;  // one line, for `runner --help`
  std::string usage;    // "runner table EXPERIMENT.yaml [options]"
  std::string details;  // input and output
  std::string example;
  std::vector<Option> options;
  // Names of the options that take the arguments without a name, in order.
  std::vector<std::string> positional;
  // Returns the exit code.
  int (*run)(const Arguments& arguments) = nullptr;
};

// Whether the option takes an argument without a name.
inline bool IsPositional(const Command& command, const std::string& option) {
  return std::find(command.positional.begin(), command.positional.end(), option) !=
         command.positional.end();
}

// In the order in which `runner --help` prints them. An experiment without a command is run by the
// first.
const std::vector<Command>& AllCommands();

// Runs the program with its arguments (without its own name) and returns its exit code. The only
// place that catches every error and turns it into one message.
int RunProgram(const std::vector<std::string>& arguments);

}  // namespace condense
