// The linear maps of a block by their role, and the modules that they form. What depends on the
// role alone stands in one table (role.cc); the shape of a map is LinearShape() in model_config.h.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>

namespace condense {

enum class Tap;  // model/taps.h

// In the order of their names, in which files and the database list them.
enum class Role { kKey, kOutput, kQuery, kValue, kDown, kGate, kUp };
inline constexpr std::array kRoles{Role::kKey,  Role::kOutput, Role::kQuery, Role::kValue,
                                   Role::kDown, Role::kGate,   Role::kUp};

// "attention.k", "attention.o", "attention.q", "attention.v", "mlp.down", "mlp.gate", "mlp.up".
const char* RoleName(Role role);
std::optional<Role> RoleNamed(std::string_view name);
// Where the input of the map is tapped.
Tap InputTap(Role role);

// Maps that are compressed together: queries with keys, values with the output projection, and the
// MLP (methods.md 1).
enum class Module { kMlp, kQk, kVo };
inline constexpr std::array kModules{Module::kMlp, Module::kQk, Module::kVo};
const char* ModuleName(Module module);  // "mlp", "qk", "vo"
Module ModuleOf(Role role);

// One value for each role.
template <class T>
class PerRole {
 public:
  PerRole() = default;
  // The value of every role that is not named is T().
  PerRole(std::initializer_list<std::pair<Role, T>> values) {
    for (const auto& [role, value] : values) (*this)[role] = value;
  }
  T& operator[](Role role) { return values_[static_cast<size_t>(role)]; }
  const T& operator[](Role role) const { return values_[static_cast<size_t>(role)]; }
  bool operator==(const PerRole&) const = default;

 private:
  std::array<T, kRoles.size()> values_{};
};

}  // namespace condense
