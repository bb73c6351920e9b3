#include "model/stored/family.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strings.h"
#include "config/registry.h"
#include "model/linear.h"
#include "model/stored/compressed_config.h"
#include "model/stored/json_reader.h"

namespace condense {

const ModelFamily& FamilyNamed(const std::string& name) {
  static std::map<std::string, std::shared_ptr<const ModelFamily>> made;
  auto& family = made[name];
  if (!family) family = MakeComponent<ModelFamily>(name).object;
  return *family;
}

const ModelFamily& FamilyOf(const nlohmann::json& config, const std::string& file) {
  const JsonReader reader(config, file);
  const auto type = reader.Get<std::string>("model_type");
  if (type == kCompressedType) {
    const auto name = reader.Child("condense").Get<std::string>("family");
    if (Registry<ModelFamily>::Instance().Find(name) != nullptr) return FamilyNamed(name);
    throw MakeError<DataError>("{}: condense.family '{}' is not a family of this program", file,
                               name);
  }
  std::vector<std::string> known;
  for (const auto* entry : Registry<ModelFamily>::Instance().All()) {
    const ModelFamily& family = FamilyNamed(entry->name);
    for (const std::string& accepted : family.ModelTypes()) {
      if (accepted == type) return family;
      known.push_back(accepted);
    }
  }
  throw MakeError<DataError>("{}: model_type '{}' is not supported{}", file, type,
                             SuggestName(type, known));
}

namespace {

// Behind the name of the block.
std::string NameInBlock(const WeightNames& names, const std::string& role_name) {
  if (const auto linear = LinearTensorNamed(role_name)) {
    const std::string& name = names.linears[linear->role];
    CONDENSE_CHECK(!name.empty(), "no name for {}", role_name);
    return name + "." + PartName(linear->part);
  }
  if (role_name == "attention.rope_pairs") return names.rope_pairs;
  if (role_name == "attn_shortcut") return names.attn_shortcut;
  if (role_name == "mlp_shortcut") return names.mlp_shortcut;
  const size_t dot = role_name.rfind('.');
  const std::string norm = role_name.substr(0, dot);
  CONDENSE_CHECK(norm == "norm1" || norm == "norm2", "no name for {}", role_name);
  return (norm == "norm1" ? names.norm1 : names.norm2) + role_name.substr(dot);
}

}  // namespace

std::string BlockTensorName(const WeightNames& names, const std::string& prefix, int64_t position,
                            const std::string& role_name) {
  return prefix + fmt::format(fmt::runtime(names.block), position) + NameInBlock(names, role_name);
}

}  // namespace condense
