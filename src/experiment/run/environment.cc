#include "experiment/run/environment.h"

#include <revision.inc>

#include "base/sha256.h"

namespace condense {

Revision BuiltRevision() { return {kRevision, kRevisionDirty}; }

EnvironmentRecord DescribeProgram() {
  EnvironmentRecord record = DescribeMachine();
  record.git_revision = kRevision;
  record.git_dirty = kRevisionDirty;
  record.libtorch = TorchVersion();
  record.build_type = kBuildType;
  return record;
}

EnvironmentRecord DescribeEnvironment(Device device) {
  EnvironmentRecord record = DescribeProgram();
  record.binary_sha256 = Sha256File("/proc/self/exe");
  record.device = device.str();
  record.threads = TorchThreads();
  record.details = R"({"tf32":false,"deterministic":true})";
  return record;
}

}  // namespace condense
