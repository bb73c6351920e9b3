#include "model/stored/tensor_names.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"

namespace condense {
namespace {

// What wrappers call the module inside them.
constexpr std::array<std::string_view, 4> kWrappers{"module", "_orig_mod", "_fsdp_wrapped_module",
                                                    "_checkpoint_wrapped_module"};
constexpr std::string_view kPeft = "base_model.model.";

std::string WithoutWrappers(const std::string& name) {
  std::vector<std::string> parts = Split(name, '.');
  std::erase_if(parts, [](const std::string& part) {
    return std::find(kWrappers.begin(), kWrappers.end(), part) != kWrappers.end();
  });
  std::string bare = Join(parts, ".");
  return StartsWith(bare, kPeft) ? bare.substr(kPeft.size()) : bare;
}

// What stands in front of the token embedding, if every name begins with it.
std::optional<std::string> CommonBeginning(const std::map<std::string, std::string>& names,
                                           const WeightNames& family) {
  for (const std::string& prefix : family.prefixes) {
    const std::string ending = prefix + family.token_embedding + ".weight";
    for (const auto& [name, stored] : names) {
      if (!EndsWith(name, "." + ending)) continue;
      const std::string beginning = name.substr(0, name.size() - ending.size());
      const bool common = std::all_of(names.begin(), names.end(), [&](const auto& entry) {
        return StartsWith(entry.first, beginning);
      });
      if (common) return beginning;
    }
  }
  return std::nullopt;
}

}  // namespace

TensorNames::TensorNames(const std::vector<std::string>& stored, const WeightNames& family,
                         bool tied, const std::string& where) {
  const std::string* wrapped = nullptr;
  for (const std::string& name : stored) {
    const std::string bare = WithoutWrappers(name);
    const auto [entry, added] = stored_.emplace(bare, name);
    if (!added) {
      throw MakeError<DataError>("{}: the tensors '{}' and '{}' are both '{}' of the model", where,
                                 entry->second, name, bare);
    }
    if (bare != name) wrapped = &name;
  }
  if (!FindPrefix(family)) {
    if (const auto beginning = CommonBeginning(stored_, family)) {
      LeaveOut(*beginning);
      wrapped = &stored.front();
    }
    if (!FindPrefix(family)) prefix_ = family.prefixes.front();
  }
  for (const auto& [name, in_file] : stored_) names_.push_back(name);
  const std::string token = prefix_ + family.token_embedding + ".weight";
  const auto head = stored_.find(family.head + ".weight");
  if (tied && !Has(token) && head != stored_.end()) stored_[token] = head->second;
  if (wrapped != nullptr) {
    LogInfo("{}: names of tensors have a wrapper's in them ('{}'), which is left out", where,
            *wrapped);
  }
}

const std::string& TensorNames::Stored(const std::string& name) const {
  const auto found = stored_.find(name);
  return found == stored_.end() ? name : found->second;
}

bool TensorNames::FindPrefix(const WeightNames& family) {
  for (const std::string& name : {family.token_embedding, family.final_norm}) {
    for (const std::string& prefix : family.prefixes) {
      if (!Has(prefix + name + ".weight")) continue;
      prefix_ = prefix;
      return true;
    }
  }
  return false;
}

void TensorNames::LeaveOut(const std::string& beginning) {
  std::map<std::string, std::string> shorter;
  for (const auto& [name, stored] : stored_) shorter.emplace(name.substr(beginning.size()), stored);
  stored_ = std::move(shorter);
}

}  // namespace condense
