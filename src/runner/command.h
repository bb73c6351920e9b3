// A subcommand of the program: its options, help and work. One file each; command_list.cc names
// them.
#pragma once

#include <boost/program_options.hpp>
#include <string>
#include <vector>

#include "runner/arguments.h"

namespace condense {

struct Command {
  const char* name;
  const char* summary;  // one line, for `runner --help`
  const char* usage;    // "runner table EXPERIMENT.yaml [options]"
  const char* details;  // what goes in and what comes out
  const char* example;
  void (*add_options)(boost::program_options::options_description& options);
  // Names of the options that take the arguments without a name, in order.
  std::vector<const char*> positional;
  // Returns the exit code.
  int (*run)(const Arguments& arguments);
};

const std::vector<const Command*>& AllCommands();

extern const Command kRunCommand;
extern const Command kTableCommand;
extern const Command kFigureCommand;
extern const Command kStatsCommand;
extern const Command kCompressCommand;
extern const Command kEvaluateCommand;
extern const Command kTokenizeCommand;
extern const Command kScoreCommand;
extern const Command kGenerateCommand;
extern const Command kInspectCommand;
extern const Command kListCommand;
extern const Command kDescribeCommand;
extern const Command kShowCommand;
extern const Command kDoctorCommand;

// Runs the program with its arguments (without its own name) and returns its exit code. The only
// place that catches every error and turns it into one message.
int RunProgram(const std::vector<std::string>& arguments);

}  // namespace condense
