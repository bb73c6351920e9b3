// From the command line to a command: parsing, help, and the options that all commands share.
#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
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

po::options_description Described(const std::string& title, const std::vector<Option>& options) {
  po::options_description described(title);
  for (const Option& option : options) {
    const auto add = [&](auto* value) {
      described.add_options()(option.name.c_str(), value->value_name(option.value),
                              option.help.c_str());
    };
    switch (option.type) {
      case Option::Type::kFlag:
        described.add_options()(option.name.c_str(), po::bool_switch(), option.help.c_str());
        break;
      case Option::Type::kText:
        add(po::value<std::string>());
        break;
      case Option::Type::kTexts:
        add(po::value<std::vector<std::string>>()->composing());
        break;
      case Option::Type::kInteger:
        add(po::value<int64_t>());
        break;
      case Option::Type::kNumber:
        add(po::value<double>());
        break;
    }
  }
  return described;
}

void PrintCommandHelp(const Command& command) {
  std::cout << "Usage: " << command.usage << "\n\n" << command.details << "\n\n";
  if (!command.options.empty()) std::cout << Described("Options", command.options) << "\n";
  std::cout << Described("Options of all commands", CommonOptions()) << "\nExample:\n  "
            << command.example << "\n";
}

void PrintProgramHelp() {
  std::cout << "Usage: runner EXPERIMENT.yaml [options]\n"
               "       runner COMMAND [options]\n\n"
               "Compresses language models, evaluates them, and records every number with its\n"
               "inputs in a database.\n\n"
               "Commands:\n";
  for (const Command& command : AllCommands()) {
    std::cout << fmt::format("  {:<10} {}\n", command.name, command.summary);
  }
  std::cout
      << "\n`runner COMMAND --help` describes a command; `runner --version` names the build.\n\n"
         "Example:\n  runner experiments/table1.yaml\n\n"
         "Exit codes: 0 success, 1 a cell failed, 2 wrong command or configuration, 3 wrong or\n"
         "missing data, 130 interrupted.\n";
}

void PrintVersion() {
  const EnvironmentRecord build = DescribeProgram();
  std::cout << fmt::format("condense {}\n", CONDENSE_VERSION)
            << fmt::format("revision    {}{}\n", build.git_revision,
                           build.git_dirty ? " with changes" : "")
            << fmt::format("LibTorch    {}\n", build.libtorch)
            << fmt::format("compiler    {}\n", build.compiler)
            << fmt::format("build type  {}\n", build.build_type);
}

const Command* FindCommand(const std::string& name) {
  for (const Command& command : AllCommands()) {
    if (command.name == name) return &command;
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

// ConfigError unless `value` is one of the words of the option.
void RequireChoice(const Option& option, const std::string& value) {
  const std::vector<std::string>& words = option.candidates.words;
  if (std::find(words.begin(), words.end(), value) != words.end()) return;
  throw MakeError<ConfigError>("--{} {}: expected {} or {}", option.name, value,
                               Join({words.begin(), words.end() - 1}, ", "), words.back());
}

po::variables_map Parse(const Command& command, const std::vector<std::string>& arguments) {
  po::options_description all = Described("Options", command.options);
  all.add(Described("Options of all commands", CommonOptions()));
  po::positional_options_description positional;
  for (const std::string& name : command.positional) positional.add(name.c_str(), 1);
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
  for (const Option& option : command.options) {
    if (option.closed && values.count(option.name) > 0) {
      RequireChoice(option, values[option.name].as<std::string>());
    }
  }
  return values;
}

int Execute(const Command& command, const std::vector<std::string>& arguments) {
  // Help is printed even if the other arguments are wrong.
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
    PrintVersion();
    return 0;
  }
  if (const Command* command = FindCommand(first)) {
    return Execute(*command, {arguments.begin() + 1, arguments.end()});
  }
  // An experiment needs no command.
  if (EndsWith(first, ".yaml") || EndsWith(first, ".yml") || StartsWith(first, "-")) {
    return Execute(AllCommands().front(), arguments);
  }
  std::vector<std::string> names;
  for (const Command& command : AllCommands()) names.push_back(command.name);
  const auto nearest = NearestName(first, names);
  throw MakeError<ConfigError>("unknown command '{}'{}", first,
                               nearest ? fmt::format("; did you mean '{}'?", *nearest)
                                       : "; runner --help lists all commands; an experiment is "
                                         "given as a file, such as experiments/table1.yaml");
}

}  // namespace

int RunProgram(const std::vector<std::string>& arguments) {
  try {
    return Dispatch(arguments);
  } catch (const Interrupted&) {
    return Complain("interrupted; finished results are stored, and the next run resumes from them",
                    130);
  } catch (const Error& error) {
    return Complain(error.what(), error.ExitCode());
  } catch (const std::bad_alloc&) {
    return Complain("out of memory", 1);
  } catch (const std::exception& error) {
    // LibTorch appends the place in its sources, which helps only whoever repairs the error.
    const std::string text = error.what();
    LogDebug("{}", text);
    return Complain("internal error, please report it with the output of --verbose: " +
                        text.substr(0, text.find('\n')),
                    1);
  }
}

}  // namespace condense
