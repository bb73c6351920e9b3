#include "runner/completion.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "runner/command.h"

namespace condense {
namespace {

std::vector<Option> OptionsOf(const Command& command) {
  std::vector<Option> options;
  for (const Option& option : command.options) {
    if (!IsPositional(command, option.name)) options.push_back(option);
  }
  options.insert(options.end(), CommonOptions().begin(), CommonOptions().end());
  return options;
}

std::string Replaced(const std::string& text, char letter, const std::string& by) {
  return Join(Split(text, letter), by);
}

// The text between single quotes, for bash and zsh.
std::string Quoted(const std::string& text) {
  return fmt::format("'{}'", Replaced(text, '\'', R"('\'')"));
}

std::string CommandNames() {
  std::vector<std::string> names;
  for (const Command& command : AllCommands()) names.push_back(command.name);
  return Join(names, " ");
}

// The first words of `runner list KIND`, in all shells.
constexpr const char* kNames = R"(sed -n 's/^\([a-z0-9][^[:space:]]*\).*/\1/p')";

// --- bash

std::string BashValues(const Candidates& values) {
  std::string out;
  if (values.files) out += " files=1";
  if (values.folders) out += " folders=1";
  if (values.experiments) out += " experiments=1";
  if (!values.listed.empty()) out += " listed=" + Quoted(Join(values.listed, " "));
  if (!values.words.empty()) out += " words=" + Quoted(Join(values.words, " "));
  if (values.several) out += " several=1";
  return out.empty() ? " :" : out;
}

constexpr const char* kBashBegin =
    R"(# Completion of `runner` for bash, as `runner completion bash` prints it.
# shellcheck shell=bash

)";

constexpr const char* kBashEnd = R"BASH(
_runner_complete() {
  local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local command=${COMP_WORDS[1]:-} files='' folders='' experiments='' listed='' words='' several=''
  COMPREPLY=()
  # bash splits words at = and at :, as in --format=md and text:FILE.
  if [[ $current == = ]]; then current='' previous=${COMP_WORDS[COMP_CWORD - 1]}; fi
  if [[ $previous == = ]]; then previous=${COMP_WORDS[COMP_CWORD - 2]}; fi
  [[ " $_runner_commands " == *" $command "* ]] || command=run
  if ((COMP_CWORD == 1)) && [[ $current != -* ]]; then
    words=$_runner_commands experiments=1
  elif [[ $current == : || $previous == : ]]; then
    files=1
    [[ $current != : ]] || current=''
  elif [[ $previous == -* ]] && _runner_values "$command $previous"; then
    :
  elif [[ $current == -* ]]; then
    words=$(_runner_options "$command")
    ((COMP_CWORD > 1)) || words+=' --version'
  else
    _runner_values "$command" || words=$(_runner_options "$command")
  fi

  local kind found prefix=''
  for kind in $listed; do words+=" $(_runner_list "$program" "$kind")"; done
  if [[ $several && $current == *,* ]]; then
    prefix=${current%,*},
    current=${current##*,}
  fi
  if [[ $files ]]; then
    while IFS= read -r found; do COMPREPLY+=("$found"); done < <(compgen -f -- "$current")
  elif [[ $experiments ]]; then
    while IFS= read -r found; do
      if [[ -d $found || $found == *.yaml || $found == *.yml ]]; then COMPREPLY+=("$found"); fi
    done < <(compgen -f -- "$current")
  elif [[ $folders ]]; then
    while IFS= read -r found; do COMPREPLY+=("$found"); done < <(compgen -d -- "$current")
  fi
  while IFS= read -r found; do COMPREPLY+=("$found"); done < <(compgen -P "$prefix" -W "$words" -- "$current")
  if [[ ${COMPREPLY[*]} == text: || ${COMPREPLY[*]} == ids: ]]; then compopt -o nospace; fi
}

complete -o filenames -F _runner_complete runner
)BASH";

std::string BashScript() {
  std::string options, values;
  for (const Command& command : AllCommands()) {
    std::vector<std::string> names;
    for (const Option& option : OptionsOf(command)) {
      names.push_back("--" + option.name);
      if (option.type == Option::Type::kFlag) continue;
      values += fmt::format("    '{} --{}'){} ;;\n", command.name, option.name,
                            BashValues(option.candidates));
    }
    options += fmt::format("    {}) echo '{}' ;;\n", command.name, Join(names, " "));
    for (const Option& option : command.options) {
      if (!IsPositional(command, option.name)) continue;
      values += fmt::format("    {}){} ;;\n", command.name, BashValues(option.candidates));
    }
  }
  return std::string(kBashBegin) + "_runner_commands='" + CommandNames() + "'\n\n" +
         "_runner_list() { \"$1\" list \"$2\" 2>/dev/null | " + kNames + "; }\n\n" +
         "_runner_options() {\n  case $1 in\n" + options + "  esac\n}\n\n" +
         "# Sets what completes the value of `COMMAND OPTION`, or the argument of `COMMAND`.\n"
         "_runner_values() {\n  case $1 in\n" +
         values + "    *) return 1 ;;\n  esac\n}\n" + kBashEnd;
}

// --- zsh

// Inside [...] and between colons of a specification for _arguments.
std::string ZshText(const std::string& text) {
  std::string out;
  for (const char letter : text) {
    if (letter == '[' || letter == ']' || letter == ':' || letter == '\\') out += '\\';
    out += letter;
  }
  return out;
}

// " _runner_values folders list=models"
std::string ZshAction(const Candidates& values) {
  std::string out = " _runner_values";
  if (values.several) out += " several";
  if (values.files) out += " files";
  if (values.folders) out += " folders";
  if (values.experiments) out += " experiments";
  for (const std::string& kind : values.listed) out += " list=" + kind;
  for (const std::string& word : values.words) out += " word=" + ZshText(word);
  return out;
}

std::string ZshSpecification(const Option& option) {
  const bool repeated = option.type == Option::Type::kTexts;
  std::string out = fmt::format("{}--{}", repeated ? "*" : "", option.name);
  out += fmt::format("[{}]", ZshText(option.help));
  if (option.type != Option::Type::kFlag) {
    out += fmt::format(":{}:{}", ZshText(option.value), ZshAction(option.candidates));
  }
  return Quoted(out);
}

constexpr const char* kZshEnd = R"ZSH(
_runner_values() {
  local item
  local -a names
  for item in $@; do
    case $item in
      several) compset -P '*,' ;;
      files) _files ;;
      folders) _files -/ ;;
      experiments) _files -g '*.(yaml|yml)' ;;
      list=*) names+=($(_runner_list ${item#list=})) ;;
      word=*:) compadd -S '' -- ${item#word=} ;;
      word=*) names+=(${item#word=}) ;;
    esac
  done
  compadd -a names
}

_runner() {
  local program=$words[1] command=$words[2]
  local -a names=(${_runner_commands%%:*})
  if ((CURRENT == 2)) && [[ $command != -* ]]; then
    _describe command _runner_commands
    _files -g '*.(yaml|yml)'
    return
  fi
  if ((names[(Ie)$command])); then
    words[1]=()
    ((CURRENT--))
  else
    command=run
  fi
  _runner_command_$command
}

if [[ $funcstack[1] == _runner ]]; then _runner "$@"; else compdef _runner runner; fi
)ZSH";

std::string ZshScript() {
  std::string out =
      "#compdef runner\n# Completion of `runner` for zsh, as `runner completion zsh` prints it.\n\n"
      "typeset -ga _runner_commands\n_runner_commands=(\n";
  for (const Command& command : AllCommands()) {
    out += "  " + Quoted(command.name + ":" + command.summary) + "\n";
  }
  out += std::string(")\n\n_runner_list() { $program list $1 2>/dev/null | ") + kNames + "; }\n";
  for (const Command& command : AllCommands()) {
    out += "\n_runner_command_" + command.name + "() {\n  _arguments";
    for (const Option& option : OptionsOf(command)) out += " \\\n    " + ZshSpecification(option);
    for (const Option& option : command.options) {
      if (!IsPositional(command, option.name)) continue;
      out += " \\\n    " +
             Quoted(fmt::format(":{}:{}", ZshText(option.value), ZshAction(option.candidates)));
    }
    out += "\n}\n";
  }
  return out + kZshEnd;
}

// --- fish

std::string FishQuoted(const std::string& text) {
  return fmt::format("'{}'", Replaced(Replaced(text, '\\', R"(\\)"), '\'', R"(\')"));
}

// What follows -a, and whether files are offered too.
std::string FishValues(const Candidates& values) {
  if (values.files) return " -r -F";
  std::vector<std::string> offers;
  if (values.experiments) offers.emplace_back("(__fish_complete_suffix .yaml)");
  if (values.folders) offers.emplace_back("(__fish_complete_directories)");
  for (const std::string& kind : values.listed) {
    const std::string names = "__runner_list " + kind;
    offers.push_back(values.several ? fmt::format(R"((__fish_complete_list , "{}"))", names)
                                    : fmt::format("({})", names));
  }
  if (!values.words.empty() && values.several) {
    offers.push_back(
        fmt::format(R"((__fish_complete_list , "string split , {}"))", Join(values.words, ",")));
  } else if (!values.words.empty()) {
    offers.push_back(Join(values.words, " "));
  }
  return offers.empty() ? " -x" : " -x -a " + FishQuoted(Join(offers, " "));
}

std::string FishOption(const Option& option) {
  const std::string value = option.type == Option::Type::kFlag ? "" : FishValues(option.candidates);
  return fmt::format(" -l {}{} -d {}\n", option.name, value, FishQuoted(option.help));
}

constexpr const char* kFishBegin =
    R"(# Completion of `runner` for fish, as `runner completion fish` prints it.

# The command that the line holds: `run` where an experiment or an option comes first.
function __runner_in
    set -l words (commandline -opc)
    set -l command "$words[2]"
    contains -- $command $__runner_commands; or set command run
    test $command = $argv[1]
end

function __runner_first
    test (count (commandline -opc)) -eq 1
end

function __runner_list
    set -l words (commandline -opc)
    $words[1] list $argv[1] 2>/dev/null | string match -r '^[a-z0-9]\S*'
end

complete -c runner -f
)";

std::string FishScript() {
  std::string out = kFishBegin;
  out += "set -g __runner_commands " + CommandNames() + "\n";
  for (const Command& command : AllCommands()) {
    out += fmt::format("complete -c runner -n __runner_first -a {} -d {}\n", command.name,
                       FishQuoted(command.summary));
  }
  out += "complete -c runner -n __runner_first -l version -d 'print the version'\n";
  for (const Option& option : CommonOptions()) out += "complete -c runner" + FishOption(option);
  for (const Command& command : AllCommands()) {
    const std::string begin = fmt::format("complete -c runner -n '__runner_in {}'", command.name);
    out += "\n";
    for (const Option& option : command.options) {
      out += begin + (IsPositional(command, option.name) ? FishValues(option.candidates) + "\n"
                                                         : FishOption(option));
    }
  }
  return out;
}

}  // namespace

const std::vector<std::string>& CompletionShells() {
  static const std::vector<std::string> shells = {"bash", "zsh", "fish"};
  return shells;
}

std::string CompletionScript(const std::string& shell) {
  if (shell == "bash") return BashScript();
  if (shell == "zsh") return ZshScript();
  CONDENSE_CHECK(shell == "fish", "shell {}", shell);
  return FishScript();
}

}  // namespace condense
