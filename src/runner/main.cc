// The program.
#include <string>
#include <vector>

#include "base/system.h"
#include "runner/command.h"
#include "tensor/openmp_wait.h"

CONDENSE_LIMIT_OPENMP_WAITING();

int main(int argc, char** argv) {
  condense::InstallInterruptHandler();
  return condense::RunProgram(std::vector<std::string>(argv + 1, argv + argc));
}
