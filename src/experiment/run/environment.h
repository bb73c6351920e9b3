// The program, libraries and machine that numbers are made with (protocols.md 8.2, 8.3).
#pragma once

#include <string>

#include "results/records.h"
#include "tensor/tensor.h"

namespace condense {

struct Revision {
  std::string commit;  // "unknown" outside a git tree
  bool dirty = false;
};
Revision BuiltRevision();

// The same without the device and the digest of the program.
EnvironmentRecord DescribeProgram();
EnvironmentRecord DescribeEnvironment(Device device);

}  // namespace condense
