#include "compression/linear_inputs.h"

namespace condense {

Tap InputTap(const std::string& role) {
  if (role == "attention.o") return Tap::kValueMix;
  if (role == "mlp.gate" || role == "mlp.up") return Tap::kMlpInput;
  return role == "mlp.down" ? Tap::kMlpHidden : Tap::kAttentionInput;
}

StatRequests InputStatistics(StatKind kind) {
  StatRequests requests;
  for (const char* role : kLinearRoles) requests.insert({InputTap(role), kind});
  return requests;
}

}  // namespace condense
