// The program. The only place that catches every error and turns it into one message and an exit
// code.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/progress.h"
#include "base/system.h"
#include "runner/command.h"

namespace {

int Complain(const std::string& message, int exit_code) {
  condense::Progress::ClearLine();
  std::fflush(stdout);
  std::fprintf(stderr, "runner: error: %s\n", message.c_str());
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  condense::InstallInterruptHandler();
  try {
    return condense::RunProgram(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const condense::Interrupted&) {
    return Complain("interrupted; what was finished is kept", 130);
  } catch (const condense::Error& error) {
    return Complain(error.what(), error.ExitCode());
  } catch (const std::bad_alloc&) {
    return Complain("out of memory", 1);
  } catch (const std::exception& error) {
    return Complain(std::string("internal error, please report it: ") + error.what(), 1);
  }
}
