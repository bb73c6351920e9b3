#include "model/stored/family.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strings.h"
#include "config/registry.h"
#include "model/stored/json_reader.h"

namespace condense {

const ModelFamily& FamilyNamed(const std::string& name) {
  static std::map<std::string, std::shared_ptr<const ModelFamily>> made;
  auto& family = made[name];
  if (!family) family = MakeComponent<ModelFamily>(name).object;
  return *family;
}

const ModelFamily& FamilyOf(const nlohmann::json& config, const std::string& file) {
  const std::string type = JsonReader(config, file).Get<std::string>("model_type");
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

std::string BlockTensorName(const WeightNames& names, const std::string& prefix, int64_t position,
                            const std::string& role_name) {
  // "attention.q.weight" -> role "attention.q", part ".weight"; shortcuts and pairs have no part.
  std::string role = role_name, part;
  auto found = names.roles.find(role);
  if (found == names.roles.end()) {
    const size_t dot = role_name.rfind('.');
    role = role_name.substr(0, dot);
    part = role_name.substr(dot);
    found = names.roles.find(role);
  }
  CONDENSE_CHECK(found != names.roles.end(), "no name for {}", role_name);
  return prefix + fmt::format(fmt::runtime(names.block), position) + found->second + part;
}

}  // namespace condense
