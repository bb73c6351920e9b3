// Checkpoints in the cache that the Hugging Face libraries keep:
// <cache>/models--<org>--<name>/ with refs/main (a revision), snapshots/<revision>/ (links) and blobs/.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace condense {

// The stored model at `place`: itself, or, of a folder models--<org>--<name>, the snapshot that
// refs/main names, else the only one. nullopt where there is none.
std::optional<std::filesystem::path> StoredModelAt(const std::filesystem::path& place);

// "org/name", as the hub writes ids.
bool IsHubId(std::string_view text);
// Where "org/name" may lie, in order: below each of `roots`, as a folder or in a cache, and in the
// cache of this user: $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub.
std::vector<std::filesystem::path> HubPlaces(const std::string& id,
                                             const std::vector<std::filesystem::path>& roots);
// The folders of `root` that a cache has of models called `name`, whatever the organisation.
std::vector<std::filesystem::path> CachedModels(const std::filesystem::path& root,
                                                const std::string& name);
// The ids "org/name" in a cache, sorted; empty where `folder` is none.
std::vector<std::string> IdsInCache(const std::filesystem::path& folder);

}  // namespace condense
