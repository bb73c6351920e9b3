#include "compression/bases/units.h"

#include <algorithm>

#include "base/error.h"

namespace condense {
namespace {

int64_t GroupSize(const ModelConfig& dense) { return dense.num_heads / dense.num_kv_heads; }

Tensor Range(int64_t count) { return at::arange(count, at::TensorOptions().dtype(kI64)); }

// For each row of W_O the row of the key or value map that its query head reads: [n_h d_h].
Tensor SharedRows(const ModelConfig& dense) {
  const int64_t width = dense.head_dim;
  return Range(dense.num_kv_heads * width)
      .view({dense.num_kv_heads, 1, width})
      .expand({dense.num_kv_heads, GroupSize(dense), width})
      .reshape({-1});
}

// Rows of W_O (or of the query map) of the query heads of key/value head j: [g, d_h].
Tensor GroupRows(const ModelConfig& dense, int64_t j) {
  const int64_t g = GroupSize(dense), width = dense.head_dim;
  return (Range(g * width) + j * g * width).view({g, width});
}

ChannelInput HeadsInput(UnitKind kind, const ModelConfig& dense, const Attention& attention,
                        const BlockStatistics& statistics, const Random& random) {
  const int64_t count = UnitCount(kind, dense);
  ChannelInput input{.statistics = statistics,
                     .tap = Tap::kValueMix,
                     .consumer = &attention.o,
                     .units = Range(dense.num_heads * dense.head_dim).view({count, -1}),
                     .random = random};
  input.producers.push_back({.linear = &attention.q});
  if (kind == UnitKind::kQueryHeads) return input;
  const double share = 1.0 / static_cast<double>(GroupSize(dense));
  for (const Linear* linear : {&attention.k, &attention.v}) {
    input.producers.push_back({.linear = linear, .rows = SharedRows(dense), .share = share});
  }
  return input;
}

std::vector<ChannelInput> QueryKeyInputs(const ModelConfig& dense, const Attention& attention,
                                         const BlockStatistics& statistics, const Random& random) {
  std::vector<ChannelInput> inputs;
  const int64_t width = dense.head_dim;
  for (int64_t j = 0; j < dense.num_kv_heads; ++j) {
    ChannelInput input{.statistics = statistics,
                       .tap = Tap::kQueryRotated,
                       .random = random.Derive(fmt::format("head {}", j))};
    input.producers.push_back({.linear = &attention.k, .rows = Range(width) + j * width});
    const Tensor queries = GroupRows(dense, j);
    for (int64_t i = 0; i < queries.size(0); ++i) {
      input.producers.push_back({.linear = &attention.q, .rows = queries[i]});
    }
    if (dense.HasRope()) input.units = Range(width).view({2, width / 2}).t().contiguous();
    inputs.push_back(std::move(input));
  }
  return inputs;
}

std::vector<ChannelInput> ValueInputs(const ModelConfig& dense, const Attention& attention,
                                      const BlockStatistics& statistics, const Random& random) {
  std::vector<ChannelInput> inputs;
  const double share = 1.0 / static_cast<double>(GroupSize(dense));
  for (int64_t j = 0; j < dense.num_kv_heads; ++j) {
    ChannelInput input{.statistics = statistics,
                       .tap = Tap::kValueMix,
                       .consumer = &attention.o,
                       .units = GroupRows(dense, j).t().contiguous(),
                       .random = random.Derive(fmt::format("head {}", j))};
    input.producers.push_back({.linear = &attention.v, .rows = SharedRows(dense), .share = share});
    inputs.push_back(std::move(input));
  }
  return inputs;
}

// Rows of the consumer that belong to kept units, ascending.
Indices ConsumerRows(const std::vector<ChannelInput>& choices, const std::vector<Indices>& kept) {
  Indices rows;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (!choices[i].units.defined()) return kept[i];
    const Tensor chosen =
        choices[i].units.index_select(0, IndexTensor(kept[i])).flatten().contiguous();
    const int64_t* first = chosen.const_data_ptr<int64_t>();
    rows.insert(rows.end(), first, first + chosen.numel());
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

// Query heads of kept groups.
Indices QueriesOfGroups(const Indices& groups, int64_t size) {
  Indices queries;
  for (const int64_t j : groups) {
    for (int64_t i = 0; i < size; ++i) queries.push_back(j * size + i);
  }
  return queries;
}

}  // namespace

const char* UnitKindName(UnitKind kind) {
  switch (kind) {
    case UnitKind::kGroups:
    case UnitKind::kQueryHeads:
      return "attention";
    case UnitKind::kQueryKey:
      return ModuleName(Module::kQk);
    case UnitKind::kValueOutput:
      return ModuleName(Module::kVo);
    case UnitKind::kMlp:
      return ModuleName(Module::kMlp);
  }
  return "?";
}

std::vector<UnitKind> AttentionKinds(AttentionUnit unit) {
  switch (unit) {
    case AttentionUnit::kGroup:
      return {UnitKind::kGroups};
    case AttentionUnit::kQueryHead:
      return {UnitKind::kQueryHeads};
    case AttentionUnit::kDims:
      return {UnitKind::kQueryKey, UnitKind::kValueOutput};
  }
  return {};
}

std::optional<Tap> ConsumerTap(UnitKind kind) {
  if (kind == UnitKind::kQueryKey) return std::nullopt;
  return kind == UnitKind::kMlp ? Tap::kMlpHidden : Tap::kValueMix;
}

int64_t UnitCount(UnitKind kind, const ModelConfig& dense) {
  switch (kind) {
    case UnitKind::kGroups:
      return dense.num_kv_heads;
    case UnitKind::kQueryHeads:
      return dense.num_heads;
    case UnitKind::kQueryKey:
      return dense.HasRope() ? dense.head_dim / 2 : dense.head_dim;
    case UnitKind::kValueOutput:
      return dense.head_dim;
    case UnitKind::kMlp:
      return dense.intermediate_size;
  }
  return 0;
}

int64_t TotalCost(UnitKind kind, const ModelConfig& dense) {
  const int64_t d = dense.hidden_size;
  const int64_t heads = d * dense.head_dim * (dense.num_heads + dense.num_kv_heads);
  switch (kind) {
    case UnitKind::kGroups:
    case UnitKind::kQueryHeads:
      return 2 * heads;
    case UnitKind::kQueryKey:
    case UnitKind::kValueOutput:
      return heads;
    case UnitKind::kMlp:
      return (dense.gated_mlp ? 3 : 2) * d * dense.intermediate_size;
  }
  return 0;
}

int64_t UnitCost(UnitKind kind, const ModelConfig& dense) {
  if (kind == UnitKind::kQueryHeads) return 2 * dense.hidden_size * dense.head_dim;
  return TotalCost(kind, dense) / UnitCount(kind, dense);
}

int64_t QueryHeadsCost(const Indices& kept, const ModelConfig& dense) {
  int64_t groups = 0, last = -1;
  for (const int64_t query : kept) {
    const int64_t group = query / GroupSize(dense);
    if (group != last) ++groups, last = group;
  }
  return 2 * dense.hidden_size * dense.head_dim * (static_cast<int64_t>(kept.size()) + groups);
}

std::vector<ChannelInput> ChoicesOf(UnitKind kind, const ModelConfig& dense, const Block& block,
                                    const BlockStatistics& statistics, const Random& random) {
  switch (kind) {
    case UnitKind::kGroups:
    case UnitKind::kQueryHeads:
      return {HeadsInput(kind, dense, block.attention, statistics, random)};
    case UnitKind::kQueryKey:
      return QueryKeyInputs(dense, block.attention, statistics, random);
    case UnitKind::kValueOutput:
      return ValueInputs(dense, block.attention, statistics, random);
    case UnitKind::kMlp:
      return {MlpChannels(statistics, block.mlp, random)};
  }
  return {};
}

void NarrowLayer(UnitKind kind, const ModelConfig& dense, int64_t kept, LayerConfig& layer) {
  switch (kind) {
    case UnitKind::kGroups:
      layer.heads.resize(static_cast<size_t>(kept));
      return;
    case UnitKind::kQueryKey:
      for (HeadConfig& head : layer.heads) head.qk_width = dense.HasRope() ? 2 * kept : kept;
      layer.selected_pairs = dense.HasRope() && kept < UnitCount(kind, dense);
      return;
    case UnitKind::kValueOutput:
      for (HeadConfig& head : layer.heads) head.vo_width = kept;
      return;
    case UnitKind::kMlp:
      layer.mlp_width = kept;
      return;
    case UnitKind::kQueryHeads:
      break;
  }
  CONDENSE_CHECK(false, "the shape depends on which query heads stay");
}

void NarrowLayerToQueryHeads(const Indices& kept, LayerConfig& layer) {
  std::vector<HeadConfig> heads;
  int64_t first = 0;
  for (HeadConfig head : layer.heads) {
    const int64_t next = first + head.queries;
    head.queries = std::lower_bound(kept.begin(), kept.end(), next) -
                   std::lower_bound(kept.begin(), kept.end(), first);
    if (head.queries > 0) heads.push_back(head);
    first = next;
  }
  layer.heads = std::move(heads);
}

ModuleReport KeepUnits(const KeptUnits& kept, const BlockStatistics& statistics, Block& block) {
  const auto& [kind, dense, units, refit] = kept;
  ModuleReport report;
  const int64_t count = UnitCount(kind, dense);
  for (size_t i = 0; i < units.size(); ++i) {
    report.widths.push_back(static_cast<int64_t>(units[i].size()));
    for (const int64_t unit : units[i]) {
      report.kept.push_back(static_cast<int64_t>(i) * count + unit);
    }
  }
  if (static_cast<int64_t>(report.kept.size()) == count * static_cast<int64_t>(units.size())) {
    return report;  // nothing is removed: the weights stay bit for bit
  }
  const std::optional<Tap> tap = ConsumerTap(kind);
  ConsumerRefit refitted;
  if (tap) {
    const Linear& consumer = kind == UnitKind::kMlp ? block.mlp.down : block.attention.o;
    const Indices rows =
        ConsumerRows(ChoicesOf(kind, dense, block, statistics, Random(0, "none")), units);
    refitted = RefitConsumer(refit, statistics, *tap, consumer, rows);
    report.damping = refitted.damping;
    report.condition = refitted.condition;
    report.relative_error = refitted.relative_error;
  }
  switch (kind) {
    case UnitKind::kGroups:
      block.attention.KeepQueryHeads(QueriesOfGroups(units[0], GroupSize(dense)));
      break;
    case UnitKind::kQueryHeads:
      block.attention.KeepQueryHeads(units[0]);
      break;
    case UnitKind::kQueryKey:
      block.attention.KeepQueryKeyUnits(units, dense.HasRope());
      break;
    case UnitKind::kValueOutput:
      block.attention.KeepValueChannels(units);
      break;
    case UnitKind::kMlp:
      block.mlp.KeepChannels(IndexTensor(units[0]));
      break;
  }
  if (tap) (kind == UnitKind::kMlp ? block.mlp.down : block.attention.o) = refitted.linear;
  return report;
}

}  // namespace condense
