// The options of MoDeGPT (methods.md 1.1). The defaults are the preset `modegpt`; `modegpt_plus`
// has others.
#pragma once

#include "compression/allocation.h"
#include "compression/bases/head_budget.h"
#include "compression/bases/option_names.h"
#include "compression/refits/consumer_refit.h"
#include "compression/selectors/channel_selector.h"
#include "compression/solvers/query_key.h"
#include "config/registry.h"

namespace condense {

enum class QkStat { kPostRope, kPreRope };
enum class QkGain { kNone, kComplex, kCore, kSvd, kBest };
enum class VoStat { kValue, kAttended };
enum class VoGroup { kJoint, kSingle };
enum class VoCenter { kFalse, kTrue, kWhereBiased };
enum class VoRefit { kNone, kJointHeads };
enum class VoBalance { kRms, kPublished };
enum class Units { kFine, kHardware };

template <>
struct EnumNames<QkStat> {
  static constexpr std::array names{std::pair{QkStat::kPostRope, "post_rope"},
                                    std::pair{QkStat::kPreRope, "pre_rope"}};
};
template <>
struct EnumNames<PairScore> {
  static constexpr std::array names{std::pair{PairScore::kSum, "sum"},
                                    std::pair{PairScore::kNorm, "norm"},
                                    std::pair{PairScore::kExact, "exact"}};
};
template <>
struct EnumNames<GroupScore> {
  static constexpr std::array names{std::pair{GroupScore::kRss, "rss"},
                                    std::pair{GroupScore::kSum, "sum"}};
};
template <>
struct EnumNames<QkGain> {
  static constexpr std::array names{
      std::pair{QkGain::kNone, "none"}, std::pair{QkGain::kComplex, "complex"},
      std::pair{QkGain::kCore, "core"}, std::pair{QkGain::kSvd, "svd"},
      std::pair{QkGain::kBest, "best"}};
};
template <>
struct EnumNames<VoStat> {
  static constexpr std::array names{std::pair{VoStat::kValue, "value"},
                                    std::pair{VoStat::kAttended, "attended"}};
};
template <>
struct EnumNames<VoGroup> {
  static constexpr std::array names{std::pair{VoGroup::kJoint, "joint"},
                                    std::pair{VoGroup::kSingle, "single"}};
};
template <>
struct EnumNames<VoCenter> {
  static constexpr std::array names{std::pair{VoCenter::kFalse, "false"},
                                    std::pair{VoCenter::kTrue, "true"},
                                    std::pair{VoCenter::kWhereBiased, "where_biased"}};
};
template <>
struct EnumNames<VoRefit> {
  static constexpr std::array names{std::pair{VoRefit::kNone, "none"},
                                    std::pair{VoRefit::kJointHeads, "joint_heads"}};
};
template <>
struct EnumNames<VoBalance> {
  static constexpr std::array names{std::pair{VoBalance::kRms, "rms"},
                                    std::pair{VoBalance::kPublished, "published"}};
};
template <>
struct EnumNames<Units> {
  static constexpr std::array names{std::pair{Units::kFine, "fine"},
                                    std::pair{Units::kHardware, "hw"}};
};

struct ModeGptOptions {
  ModuleSwitches modules;
  RidgeOptions ridge;
  Component<ChannelSelector> mlp_selector = MakeComponent<ChannelSelector>("leverage");
  Refit refit = Refit::kDelta;
  double refit_mu = 0;
  RefitBias refit_bias = RefitBias::kKeep;
  QkStat qk_stat = QkStat::kPostRope;
  PairScore qk_pair_score = PairScore::kSum;
  GroupScore qk_group = GroupScore::kRss;
  QkGain qk_gain = QkGain::kNone;
  VoStat vo_stat = VoStat::kValue;
  VoGroup vo_group = VoGroup::kJoint;
  VoCenter vo_center = VoCenter::kFalse;
  VoRefit vo_refit = VoRefit::kNone;
  VoBalance vo_balance = VoBalance::kRms;
  HeadBudget head_budget = HeadBudget::kEqual;
  Refresh refresh = Refresh::kNone;
  RoundingMode rounding = RoundingMode::kCarry;
  Units units = Units::kFine;
  std::optional<int64_t> mlp_unit, qk_unit, vo_unit;

  template <class V>
  void Fields(V&& field) {
    field("modules", modules, "which modules are compressed; the others stay as they are");
    field("lambda", ridge.lambda, "ridge of the leverage scores", Range::Above(0));
    field("gram_scale", ridge.scale, "what a Gram matrix is divided by before lambda is added");
    field("mlp_selector", mlp_selector, "which MLP channels stay");
    field("refit", refit, "how the down projection makes up for dropped channels");
    field("refit_mu", refit_mu, "ridge of the refits, times the mean diagonal of the Gram matrix",
          Range::AtLeast(0));
    field("refit_bias", refit_bias, "fit the output bias of the MLP too, where there is one");
    field("qk_stat", qk_stat, "queries and keys after or before the rotation");
    field("qk_pair_score", qk_pair_score, "score of a rotary pair");
    field("qk_group", qk_group, "how the query heads of a group share a score");
    field("qk_gain", qk_gain,
          "what is fitted on kept query columns: complex with RoPE; core or svd without; best: "
          "complex or svd");
    field("vo_stat", vo_stat, "values as such, or mixed by attention");
    field("vo_group", vo_group, "value subspace of a group from its output maps too, or alone");
    field("vo_center", vo_center, "move the mean of the values to the output bias (adds biases)");
    field("vo_refit", vo_refit, "refit the output projection over all heads together");
    field("vo_balance", vo_balance, "scale of the kept value channels");
    field("head_budget", head_budget,
          "equal widths of the heads of a layer, or shared by importance");
    field(
        "refresh", refresh,
        "inputs of the statistics: dense model, compressed blocks below, and again within a block");
    field("rounding", rounding, "how widths are rounded");
    field("units", units, "widths are multiples of 1, one pair, 1 (fine) or of 128, 16, 16 (hw)");
    field("mlp_unit", mlp_unit, "instead of the one of `units`", Range::AtLeast(1));
    field("qk_unit", qk_unit, "instead of the one of `units`", Range::AtLeast(1));
    field("vo_unit", vo_unit, "instead of the one of `units`", Range::AtLeast(1));
  }

  // Units resolved for a model: the query/key one is even with RoPE. ConfigError where it cannot
  // be.
  Rounding RoundingFor(const ModelConfig& model) const;
  // Resolves `best`; ConfigError for a gain that does not go with the positions of the model.
  QkGain GainFor(const ModelConfig& model) const;
  bool Centers(bool biased) const {
    return vo_center == VoCenter::kTrue || (vo_center == VoCenter::kWhereBiased && biased);
  }
};

struct ModeGptPlusOptions : ModeGptOptions {
  ModeGptPlusOptions() {
    mlp_selector = MakeComponent<ChannelSelector>("obc");
    refit_mu = 1e-6;
    refit_bias = RefitBias::kIntercept;
    qk_pair_score = PairScore::kExact;
    qk_gain = QkGain::kBest;
    vo_stat = VoStat::kAttended;
    vo_center = VoCenter::kWhereBiased;
    vo_refit = VoRefit::kJointHeads;
    refresh = Refresh::kModule;
  }
};

}  // namespace condense
