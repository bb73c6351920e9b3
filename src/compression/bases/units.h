// The units that a layer can lose, and the tensors that go with each (methods.md 5.4).
//
//   MLP channel        column of up and gate, row of down
//   key/value group    its query heads, their rows of W_O, one key and one value head
//   query head         one query head and its rows of W_O; key and value stay while a head uses them
//   dims               query/key pairs (without RoPE: columns) and value channels, equally many
//                      from each key/value head
//
// Says how many there are, what they cost, how a selector sees them, and removes them.
#pragma once

#include <vector>

#include "base/random.h"
#include "compression/compressor.h"
#include "compression/refits/consumer_refit.h"
#include "compression/selectors/channel_selector.h"

namespace condense {

enum class AttentionUnit { kGroup, kQueryHead, kDims };
template <>
struct EnumNames<AttentionUnit> {
  static constexpr std::array names{std::pair{AttentionUnit::kGroup, "kv_group"},
                                    std::pair{AttentionUnit::kQueryHead, "query_head"},
                                    std::pair{AttentionUnit::kDims, "qk_vo"}};
};

// Units that are counted by one number per layer.
enum class UnitKind { kGroups, kQueryHeads, kQueryKey, kValueOutput, kMlp };
// "attention" for heads, else the name of the module.
const char* UnitKindName(UnitKind kind);
// The kinds of the attention for a granularity.
std::vector<UnitKind> AttentionKinds(AttentionUnit unit);
// The input of what reads the units; none for query/key.
std::optional<Tap> ConsumerTap(UnitKind kind);

// Units in a dense layer (dims: in each key/value head): the largest number that can be kept.
int64_t UnitCount(UnitKind kind, const ModelConfig& dense);
// Parameters of one unit (query head: without key and value; dims: in all key/value heads).
int64_t UnitCost(UnitKind kind, const ModelConfig& dense);
// Parameters of all units of a dense layer.
int64_t TotalCost(UnitKind kind, const ModelConfig& dense);
// Of kept query heads, with the key and value heads that they need.
int64_t QueryHeadsCost(const Indices& kept, const ModelConfig& dense);

// The units as selectors see them: one choice among UnitCount() units, or (dims) one for each
// key/value head. The input refers to `block` and `statistics`.
std::vector<ChannelInput> ChoicesOf(UnitKind kind, const ModelConfig& dense, const Block& block,
                                    const BlockStatistics& statistics, const Random& random);

// The shape of a layer that keeps `kept` units in each choice (not for query heads,
// whose shape depends on which ones).
void NarrowLayer(UnitKind kind, const ModelConfig& dense, int64_t kept, LayerConfig& layer);
void NarrowLayerToQueryHeads(const Indices& kept, LayerConfig& layer);

// The units of one kind that stay in a layer.
struct KeptUnits {
  UnitKind kind;
  const ModelConfig& dense;
  std::vector<Indices> of_choices;    // one set for each choice
  const ConsumerRefitOptions& refit;  // of what reads the units
};
// Removes all other units of this kind from `block`, which has all of them so far, and refits what
// reads them. `statistics` hold the requests of the refit.
ModuleReport KeepUnits(const KeptUnits& kept, const BlockStatistics& statistics, Block& block);

}  // namespace condense
