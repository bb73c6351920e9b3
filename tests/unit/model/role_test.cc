#include "model/role.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/block.h"

namespace condense {
namespace {

TEST(Role, NamesAscendAndAreReadBack) {
  std::vector<std::string> names;
  for (const Role role : kRoles) {
    names.emplace_back(RoleName(role));
    EXPECT_EQ(RoleNamed(names.back()), role);
  }
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(RoleNamed("attention.x"), std::nullopt);
  EXPECT_EQ(RoleNamed("mlp.up.weight"), std::nullopt);
}

// The row of a role in the table is that of its map in a block.
TEST(Role, ABlockNamesItsMapsByTheirRoles) {
  Block block;
  for (const Role role : kRoles) {
    block.LinearOf(role).weight = at::full({1, 1}, static_cast<double>(role));
  }
  size_t seen = 0;
  block.ForEachTensor([&](const std::string& name, Tensor& tensor) {
    if (!tensor.defined()) return;
    const auto linear = LinearTensorNamed(name);
    ASSERT_TRUE(linear.has_value()) << name;
    EXPECT_EQ(static_cast<double>(linear->role), tensor.item<double>()) << name;
    EXPECT_TRUE(linear->is_weight());
    ++seen;
  });
  EXPECT_EQ(seen, kRoles.size());
}

TEST(Role, OfAMapSaysItsModuleAndWhatItReads) {
  EXPECT_EQ(ModuleOf(Role::kQuery), Module::kQk);
  EXPECT_EQ(ModuleOf(Role::kKey), Module::kQk);
  EXPECT_EQ(ModuleOf(Role::kValue), Module::kVo);
  EXPECT_EQ(ModuleOf(Role::kOutput), Module::kVo);
  for (const Role role : {Role::kGate, Role::kUp, Role::kDown}) {
    EXPECT_EQ(ModuleOf(role), Module::kMlp);
  }
  EXPECT_EQ(InputTap(Role::kQuery), Tap::kAttentionInput);
  EXPECT_EQ(InputTap(Role::kOutput), Tap::kValueMix);
  EXPECT_EQ(InputTap(Role::kGate), Tap::kMlpInput);
  EXPECT_EQ(InputTap(Role::kDown), Tap::kMlpHidden);
}

TEST(LinearTensorNamed, TellsTensorsOfMapsFromOthers) {
  for (const LinearPart part : {LinearPart::kWeight, LinearPart::kA, LinearPart::kB,
                                LinearPart::kBias, LinearPart::kScale}) {
    const auto linear = LinearTensorNamed(std::string("mlp.gate.") + PartName(part));
    ASSERT_TRUE(linear.has_value());
    EXPECT_EQ(linear->role, Role::kGate);
    EXPECT_EQ(linear->part, part);
    EXPECT_EQ(linear->is_weight(), part != LinearPart::kBias && part != LinearPart::kScale);
  }
  for (const char* name :
       {"norm1.weight", "attn_shortcut", "attention.rope_pairs", "mlp.up", "mlp.up.weights", ""}) {
    EXPECT_FALSE(LinearTensorNamed(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace condense
