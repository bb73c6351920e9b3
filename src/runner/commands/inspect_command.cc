// runner inspect: dimensions, parameters and bytes of a model folder.
#include <fmt/format.h>

#include <iostream>

#include "base/strings.h"
#include "model/parameters.h"
#include "model/stored/stored_model.h"
#include "runner/command.h"
#include "runner/json_output.h"

namespace condense {
namespace {

std::vector<int64_t> WidthsOf(const LayerConfig& layer, int64_t HeadConfig::*width) {
  std::vector<int64_t> widths;
  for (const HeadConfig& head : layer.heads) widths.push_back(head.*width);
  return widths;
}

// "32", or "32,16" where heads differ.
std::string Shown(const std::vector<int64_t>& widths) {
  const bool even = std::all_of(widths.begin(), widths.end(),
                                [&](int64_t width) { return width == widths.front(); });
  return even ? fmt::format("{}", widths.front()) : fmt::format("{}", fmt::join(widths, ","));
}

Json LayerJson(const LayerConfig& layer) {
  Json low_rank = Json::object();
  for (const Role role : kRoles) {
    if (layer.linears[role].rank) low_rank[RoleName(role)] = *layer.linears[role].rank;
  }
  Json json = {{"source", layer.source},
               {"heads", layer.heads.size()},
               {"qk_widths", WidthsOf(layer, &HeadConfig::qk_width)},
               {"vo_widths", WidthsOf(layer, &HeadConfig::vo_width)},
               {"mlp_width", layer.mlp_width},
               {"stream_widths", {layer.in_width, layer.mid_width, layer.out_width}}};
  if (!low_rank.empty()) json["low_rank"] = low_rank;
  if (layer.shares_with) json["shares_with"] = *layer.shares_with;
  return json;
}

void PrintJson(const StoredModel& model) {
  const ModelConfig& config = model.config();
  const ParameterCount count = CountParameters(config);
  const RealRatios ratios = RatiosOf(config);
  Json layers = Json::array();
  for (const LayerConfig& layer : config.layers) layers.push_back(LayerJson(layer));
  PrintJsonLine(
      {{"family", config.family},
       {"compressed", !config.IsDense()},
       {"dtype", model.StoredDType()},
       {"hidden_size", config.hidden_size},
       {"vocab_size", config.vocab_size},
       {"max_positions", config.max_positions},
       {"parameters", count.Total()},
       {"block_parameters", count.block},
       {"ratios", {{"block", ratios.block}, {"total", ratios.total}, {"compute", ratios.compute}}},
       {"bytes", model.FileBytes()},
       {"digest", model.digest()},
       {"layers", layers}});
}

void Print(const StoredModel& model) {
  const ModelConfig& config = model.config();
  const ParameterCount count = CountParameters(config);
  const RealRatios ratios = RatiosOf(config);
  std::cout << fmt::format("{}\n  family        {}, {}\n", model.place().string(), config.family,
                           config.IsDense() ? "dense" : "compressed")
            << fmt::format("  stored as     {}, {}\n", model.StoredDType(),
                           HumanBytes(model.FileBytes()))
            << fmt::format("  parameters    {} ({} block weights)\n", GroupThousands(count.Total()),
                           GroupThousands(count.block));
  if (!config.IsDense()) {
    std::cout << fmt::format(
        "  removed       {:.2f}% of block weights, {:.2f}% of all parameters\n", 100 * ratios.block,
        100 * ratios.total);
  }
  std::cout << fmt::format("  hidden size   {}\n  vocabulary    {}\n  positions     {}\n",
                           config.hidden_size, config.vocab_size, config.max_positions)
            << fmt::format("\n  {:>5}  {:>6}  {:>5}  {:>10}  {:>10}  {:>6}  {}\n", "layer",
                           "source", "heads", "query/key", "value", "mlp", "stream");
  for (size_t l = 0; l < config.layers.size(); ++l) {
    const LayerConfig& layer = config.layers[l];
    std::cout << fmt::format("  {:>5}  {:>6}  {:>5}  {:>10}  {:>10}  {:>6}  {} {} {}\n", l,
                             layer.source, layer.heads.size(),
                             Shown(WidthsOf(layer, &HeadConfig::qk_width)),
                             Shown(WidthsOf(layer, &HeadConfig::vo_width)), layer.mlp_width,
                             layer.in_width, layer.mid_width, layer.out_width);
  }
}

int Run(const Arguments& arguments) {
  const StoredModel model(ModelFolder(arguments), {}, Residence::kStreamed);
  if (arguments.Flag("json")) {
    PrintJson(model);
  } else {
    Print(model);
  }
  return 0;
}

}  // namespace

Command InspectCommand() {
  return {
      .name = "inspect",
      .summary = "print dimensions, parameters and bytes of a model",
      .usage = "runner inspect DIR [--json]",
      .details =
          "Opens the folder, checks every tensor against the configuration, and prints the widths\n"
          "of each layer.",
      .example = "runner inspect configs/bundled/models/llama2-mini",
      .options = {ModelOption(), Flag("json", "print JSON")},
      .positional = {"model"},
      .run = Run};
}

}  // namespace condense
