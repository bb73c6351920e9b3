#include "compression/linear_inputs.h"

namespace condense {

StatRequests InputStatistics(StatKind kind) {
  StatRequests requests;
  for (const Role role : kRoles) requests.insert({InputTap(role), kind});
  return requests;
}

}  // namespace condense
