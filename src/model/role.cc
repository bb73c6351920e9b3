#include "model/role.h"

#include "model/taps.h"

namespace condense {
namespace {

struct RoleFacts {
  const char* name;
  Module module;
  Tap input;
};

// By Role.
constexpr std::array<RoleFacts, kRoles.size()> kFacts{{
    {"attention.k", Module::kQk, Tap::kAttentionInput},
    {"attention.o", Module::kVo, Tap::kValueMix},
    {"attention.q", Module::kQk, Tap::kAttentionInput},
    {"attention.v", Module::kVo, Tap::kAttentionInput},
    {"mlp.down", Module::kMlp, Tap::kMlpHidden},
    {"mlp.gate", Module::kMlp, Tap::kMlpInput},
    {"mlp.up", Module::kMlp, Tap::kMlpInput},
}};

const RoleFacts& FactsOf(Role role) { return kFacts[static_cast<size_t>(role)]; }

}  // namespace

const char* RoleName(Role role) { return FactsOf(role).name; }

std::optional<Role> RoleNamed(std::string_view name) {
  for (const Role role : kRoles) {
    if (name == RoleName(role)) return role;
  }
  return std::nullopt;
}

Tap InputTap(Role role) { return FactsOf(role).input; }

const char* ModuleName(Module module) {
  switch (module) {
    case Module::kMlp:
      return "mlp";
    case Module::kQk:
      return "qk";
    case Module::kVo:
      return "vo";
  }
  return "?";
}

Module ModuleOf(Role role) { return FactsOf(role).module; }

}  // namespace condense
