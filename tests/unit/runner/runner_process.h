// Starts the program as a user would, beside the tests in the build folder.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "runner/command.h"
#include "support/tiny_configs.h"

namespace condense {

struct ProgramResult {
  int exit_code = 0;  // 128 + signal if it was killed
  std::string out, err;

  nlohmann::json Json() const { return nlohmann::json::parse(out); }
  std::vector<nlohmann::json> JsonLines() const {
    std::vector<nlohmann::json> lines;
    size_t begin = 0;
    for (size_t end; (end = out.find('\n', begin)) != std::string::npos; begin = end + 1) {
      lines.push_back(nlohmann::json::parse(out.substr(begin, end - begin)));
    }
    return lines;
  }
};

inline std::filesystem::path RunnerPath() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "runner";
}

struct ProgramOptions {
  std::string input;             // of standard input
  std::function<void()> before;  // runs in the child, e.g. to limit its resources
  // One thread unless told: tests run beside each other, and waiting for a core costs more than the
  // second thread gives.
  std::optional<int> threads = 1;
  // Calls the program in a forked copy of the test instead of starting the binary, which spares
  // the fifth of a second that loading LibTorch takes.
  bool forked = false;
};

// A running program. It is killed when the object goes away.
class Program {
 public:
  explicit Program(std::vector<std::string> arguments, const ProgramOptions& options = {}) {
    WriteText(folder_.path() / "in", options.input);
    if (options.threads && arguments.front() != "--help") {
      arguments.insert(arguments.end(), {"--threads", std::to_string(*options.threads)});
    }
    std::cout.flush();
    std::fflush(nullptr);
    child_ = ::fork();
    if (child_ != 0) return;
    Redirect("in", O_RDONLY, STDIN_FILENO);
    Redirect("out", O_WRONLY | O_CREAT, STDOUT_FILENO);
    Redirect("err", O_WRONLY | O_CREAT, STDERR_FILENO);
    if (options.before) options.before();
    if (options.forked) CallProgram(arguments);
    StartBinary(std::move(arguments));
  }
  ~Program() {
    if (child_ > 0) Kill(SIGKILL);
  }
  Program(const Program&) = delete;

  ProgramResult Wait() {
    int status = 0;
    ::waitpid(child_, &status, 0);
    child_ = -1;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            ReadFile(folder_.path() / "out"), ReadFile(folder_.path() / "err")};
  }
  ProgramResult Kill(int signal) {
    ::kill(child_, signal);
    return Wait();
  }
  std::string ErrorsSoFar() const {
    const auto path = folder_.path() / "err";
    return std::filesystem::exists(path) ? ReadFile(path) : "";
  }
  // Waits until standard error holds `text`; false if it never does.
  bool WaitFor(const std::string& text) const {
    for (int i = 0; i < 3000; ++i) {
      if (ErrorsSoFar().find(text) != std::string::npos) return true;
      siginfo_t info{};
      const bool ended =
          ::waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
          info.si_pid != 0;
      if (ended) return ErrorsSoFar().find(text) != std::string::npos;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
  }

 private:
  [[noreturn]] static void CallProgram(const std::vector<std::string>& arguments) {
    const int exit_code = RunProgram(arguments);
    std::cout.flush();
    std::fflush(nullptr);
    ::_exit(exit_code);
  }
  [[noreturn]] static void StartBinary(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), RunnerPath().string());
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  void Redirect(const char* name, int flags, int to) const {
    const int file = ::open((folder_.path() / name).c_str(), flags, 0600);
    ::dup2(file, to);
  }

  TempFolder folder_;
  pid_t child_ = -1;
};

inline ProgramResult RunProgramWith(std::vector<std::string> arguments,
                                    const std::string& input = "") {
  return Program(std::move(arguments), {.input = input}).Wait();
}

// The same, much faster, for tests of many small cases.
inline ProgramResult CallProgramWith(std::vector<std::string> arguments,
                                     const std::string& input = "") {
  return Program(std::move(arguments), {.input = input, .forked = true}).Wait();
}

inline std::string BundledModel(const std::string& name) {
  return (SourceFolder() / "configs/bundled/models" / name).string();
}

}  // namespace condense
