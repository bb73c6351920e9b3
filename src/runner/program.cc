// From the command line to a command: parsing, help, and the options that all commands share.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/strings.h"
#include "base/system.h"
#include "experiment/run/environment.h"
#include "runner/command.h"

namespace condense {
namespace {

namespace po = boost::program_options;

po::options_description CommonOptions() {
  po::options_description common("Options of all commands");
  auto add = common.add_options();
  add("models", po::value<std::vector<std::string>>()->composing()->value_name("DIR"),
      "folder that holds model folders (may be repeated)");
  add("data", po::value<std::vector<std::string>>()->composing()->value_name("DIR"),
      "folder that holds texts, laid out as configs/README.md says (may be repeated)");
  add("db", po::value<std::string>()->value_name("FILE"),
      "results database (default results/results.sqlite)");
  add("threads", po::value<int64_t>()->value_name("N"), "threads (default: one for each core)");
  add("device", po::value<std::string>()->value_name("NAME"), "cpu (default) or cuda");
  add("quiet", po::bool_switch(), "say only what is wrong");
  add("verbose", po::bool_switch(), "say more");
  add("help", po::bool_switch(), "this text");
  return common;
}

void PrintCommandHelp(const Command& command) {
  po::options_description own("Options");
  command.add_options(own);
  std::cout << "Usage: " << command.usage << "\n\n" << command.details << "\n\n";
  if (!own.options().empty()) std::cout << own << "\n";
  std::cout << CommonOptions() << "\nExample:\n  " << command.example << "\n";
}

void PrintProgramHelp() {
  std::cout << "Usage: runner EXPERIMENT.yaml [options]\n"
               "       runner COMMAND [options]\n\n"
               "Compresses language models, measures what is left, and records every number.\n\n"
               "Commands:\n";
  for (const Command* command : AllCommands()) {
    std::cout << fmt::format("  {:<10} {}\n", command->name, command->summary);
  }
  std::cout
      << "\nrunner COMMAND --help describes a command.\n\n"
         "Example:\n  runner experiments/table1.yaml\n\n"
         "Exit codes: 0 all well, 1 a cell failed, 2 wrong command or configuration, 3 wrong or\n"
         "missing data, 130 interrupted.\n";
}

const Command* FindCommand(const std::string& name) {
  for (const Command* command : AllCommands()) {
    if (command->name == name) return command;
  }
  return nullptr;
}

// boost's errors as the program's own.
[[noreturn]] void RefuseOptions(const po::error& error, const po::options_description& known) {
  if (dynamic_cast<const po::invalid_option_value*>(&error) != nullptr) {
    const auto& named = dynamic_cast<const po::error_with_option_name&>(error);
    const po::option_description* option = known.find_nothrow(
        named.get_option_name().substr(named.get_option_name().find_first_not_of('-')), false);
    const bool whole = option != nullptr && dynamic_cast<const po::typed_value<int64_t>*>(
                                                option->semantic().get()) != nullptr;
    throw MakeError<ConfigError>("{}; expected a {}number", error.what(), whole ? "whole " : "");
  }
  const auto* unknown = dynamic_cast<const po::unknown_option*>(&error);
  if (unknown == nullptr) throw ConfigError(error.what());
  std::vector<std::string> names;
  for (const auto& option : known.options()) names.push_back("--" + option->long_name());
  const auto nearest = NearestName(unknown->get_option_name(), names);
  throw MakeError<ConfigError>(
      "unknown option {}{}", unknown->get_option_name(),
      nearest ? fmt::format("; did you mean {}?", *nearest) : "; --help lists the options");
}

po::variables_map Parse(const Command& command, const std::vector<std::string>& arguments) {
  po::options_description all = CommonOptions();
  command.add_options(all);
  po::positional_options_description positional;
  for (const char* name : command.positional) positional.add(name, 1);
  po::variables_map values;
  try {
    const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    po::store(
        po::command_line_parser(arguments).options(all).positional(positional).style(style).run(),
        values);
    po::notify(values);
  } catch (const po::too_many_positional_options_error&) {
    throw MakeError<ConfigError>("too many arguments; usage: {}", command.usage);
  } catch (const po::error& error) {
    RefuseOptions(error, all);
  }
  return values;
}

int RunCommand(const Command& command, const std::vector<std::string>& arguments) {
  // Help is given however wrong the rest is.
  if (std::find(arguments.begin(), arguments.end(), "--help") != arguments.end()) {
    PrintCommandHelp(command);
    return 0;
  }
  const po::variables_map values = Parse(command, arguments);
  if (values["verbose"].as<bool>()) SetLogLevel(LogLevel::kDebug);
  if (values["quiet"].as<bool>()) {
    SetLogLevel(LogLevel::kWarning);
    Progress::SetEnabled(false);
  }
  return command.run(Arguments(values, command.usage));
}

int Complain(const std::string& message, int exit_code) {
  const Progress::Hidden hidden;
  std::cout.flush();
  std::fflush(stdout);
  std::fprintf(stderr, "runner: error: %s\n", message.c_str());
  return exit_code;
}

}  // namespace

const std::vector<const Command*>& AllCommands() {
  static const std::vector<const Command*> commands = {
      &kRunCommand,      &kTableCommand,    &kFigureCommand, &kStatsCommand,    &kCompressCommand,
      &kEvaluateCommand, &kTokenizeCommand, &kScoreCommand,  &kGenerateCommand, &kInspectCommand,
      &kListCommand,     &kDescribeCommand, &kShowCommand,   &kDoctorCommand};
  return commands;
}

namespace {

int Dispatch(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    PrintProgramHelp();
    return 2;
  }
  const std::string& first = arguments.front();
  if (first == "--help" || first == "-h" || first == "help") {
    PrintProgramHelp();
    return 0;
  }
  if (first == "--version") {
    const Revision revision = BuiltRevision();
    std::cout << fmt::format("condense {}, commit {}{}, LibTorch {}\n", CONDENSE_VERSION,
                             revision.commit, revision.dirty ? " with changes" : "",
                             TorchVersion());
    return 0;
  }
  if (const Command* command = FindCommand(first)) {
    return RunCommand(*command, {arguments.begin() + 1, arguments.end()});
  }
  // An experiment needs no command.
  if (EndsWith(first, ".yaml") || EndsWith(first, ".yml") || StartsWith(first, "-")) {
    return RunCommand(kRunCommand, arguments);
  }
  std::vector<std::string> names;
  for (const Command* command : AllCommands()) names.emplace_back(command->name);
  const auto nearest = NearestName(first, names);
  throw MakeError<ConfigError>("unknown command '{}'{}", first,
                               nearest
                                   ? fmt::format("; did you mean '{}'?", *nearest)
                                   : "; runner --help lists them, and an experiment is named by "
                                     "its file, as experiments/table1.yaml");
}

}  // namespace

int RunProgram(const std::vector<std::string>& arguments) {
  try {
    return Dispatch(arguments);
  } catch (const Interrupted&) {
    return Complain("interrupted; what was finished is kept", 130);
  } catch (const Error& error) {
    return Complain(error.what(), error.ExitCode());
  } catch (const std::bad_alloc&) {
    return Complain("out of memory", 1);
  } catch (const std::exception& error) {
    // LibTorch appends where in its sources the error arose; that is for whoever mends it.
    const std::string text = error.what();
    LogDebug("{}", text);
    return Complain(
        "internal error, please report it with --verbose: " + text.substr(0, text.find('\n')), 1);
  }
}

}  // namespace condense
