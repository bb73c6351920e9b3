#include "model/stored/compressed_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "model/parameters.h"
#include "model/stored/json_reader.h"

namespace condense {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;

const char* NormName(NormKind kind) {
  switch (kind) {
    case NormKind::kRms:
      return "rms";
    case NormKind::kLayer:
      return "layer";
    case NormKind::kPlainRms:
      return "rmsn";
  }
  return "";
}

NormKind ParseNorm(const JsonReader& stream) {
  const auto name = stream.Get<std::string>("norm");
  for (const NormKind kind : {NormKind::kRms, NormKind::kLayer, NormKind::kPlainRms}) {
    if (name == NormName(kind)) return kind;
  }
  throw MakeError<DataError>("{}: '{}' is '{}', expected rms, layer or rmsn", stream.file(),
                             stream.Full("norm"), name);
}

json WidthsObject(const std::vector<HeadConfig>& heads, int64_t HeadConfig::*width) {
  json list = json::array();
  for (const HeadConfig& head : heads) list.push_back(head.*width);
  return list;
}

json LayerObject(const LayerConfig& layer, int64_t position, const WeightNames& names) {
  json attention{{"scale", layer.attention_scale},
                 {"qk_width", WidthsObject(layer.heads, &HeadConfig::qk_width)},
                 {"vo_width", WidthsObject(layer.heads, &HeadConfig::vo_width)}};
  json query_to_kv = json::array();
  bool grouped = true;
  for (size_t j = 0; j < layer.heads.size(); ++j) {
    grouped = grouped && layer.heads[j].queries == layer.heads[0].queries;
    for (int64_t i = 0; i < layer.heads[j].queries; ++i) query_to_kv.push_back(j);
  }
  attention["query_to_kv"] = query_to_kv;
  attention["grouped"] = grouped;
  if (layer.selected_pairs) {
    attention["rope_pairs"] =
        BlockTensorName(names, names.prefixes.front(), position, "attention.rope_pairs");
  }
  json object{{"index", position},
              {"source", layer.source},
              {"attn", attention},
              {"mlp", {{"width", layer.mlp_width}}},
              {"stream", {layer.in_width, layer.mid_width, layer.out_width}},
              {"shortcut", {{"attn", layer.attn_shortcut}, {"mlp", layer.mlp_shortcut}}}};
  json bias = json::array(), scales = json::array(), ranks = json::object();
  for (const Role role : kRoles) {
    const LinearConfig& linear = layer.linears[role];
    if (linear.bias) bias.push_back(RoleName(role));
    if (linear.scale) scales.push_back(RoleName(role));
    if (linear.rank) ranks[RoleName(role)] = *linear.rank;
  }
  object["bias"] = bias;
  object["scales"] = scales;
  object["low_rank"] = ranks;
  object["alias"] = layer.shares_with ? json{{"of", *layer.shares_with}} : json(nullptr);
  return object;
}

std::vector<int64_t> Integers(const JsonReader& reader, const std::string& key) {
  if (!reader.Has(key) || !reader.object().at(key).is_array()) {
    throw MakeError<DataError>("{}: '{}' must be a list of integers", reader.file(),
                               reader.Full(key));
  }
  std::vector<int64_t> values;
  for (const json& value : reader.object().at(key)) {
    if (!value.is_number_integer() || value.get<int64_t>() < 0) {
      throw MakeError<DataError>("{}: '{}' holds {}, expected integers of at least 0",
                                 reader.file(), reader.Full(key), value.dump());
    }
    values.push_back(value.get<int64_t>());
  }
  return values;
}

// The role named `name` under `key`; DataError unless blocks of this model have it.
Role ParseRole(const JsonReader& reader, const std::string& key, const std::string& name,
               const ModelConfig& dense) {
  const std::vector<Role> known = LinearRoles(dense);
  const auto role = RoleNamed(name);
  if (!role || std::find(known.begin(), known.end(), *role) == known.end()) {
    throw MakeError<DataError>("{}: '{}' names '{}', which is no linear map of this family",
                               reader.file(), reader.Full(key), name);
  }
  return *role;
}

// The list of roles under `key`, which may be absent.
std::vector<Role> ParseRoles(const JsonReader& reader, const std::string& key,
                             const ModelConfig& dense) {
  std::vector<Role> roles;
  if (!reader.Has(key)) return roles;
  for (const json& value : reader.object().at(key)) {
    const auto name = value.is_string() ? value.get<std::string>() : value.dump();
    roles.push_back(ParseRole(reader, key, name, dense));
  }
  return roles;
}

std::vector<HeadConfig> ParseHeads(const JsonReader& attention, const ModelConfig& dense) {
  const auto qk = Integers(attention, "qk_width"), vo = Integers(attention, "vo_width");
  const auto map = Integers(attention, "query_to_kv");
  if (qk.size() != vo.size() || qk.empty()) {
    throw MakeError<DataError>("{}: '{}' names {} heads, vo_width {}", attention.file(),
                               attention.Full("qk_width"), qk.size(), vo.size());
  }
  std::vector<HeadConfig> heads(qk.size());
  for (size_t j = 0; j < heads.size(); ++j) {
    heads[j] = {.queries = 0, .qk_width = qk[j], .vo_width = vo[j]};
    if (qk[j] < 1 || vo[j] < 1 || qk[j] > dense.head_dim || vo[j] > dense.head_dim ||
        (dense.HasRope() && qk[j] % 2 != 0)) {
      throw MakeError<DataError>(
          "{}: head {} of {} has widths {} and {}, impossible for heads of {}", attention.file(), j,
          attention.Full("qk_width"), qk[j], vo[j], dense.head_dim);
    }
  }
  int64_t last = 0;
  for (const int64_t j : map) {
    if (j < last || j >= static_cast<int64_t>(heads.size())) {
      throw MakeError<DataError>("{}: '{}' must ascend and stay below {}", attention.file(),
                                 attention.Full("query_to_kv"), heads.size());
    }
    ++heads[static_cast<size_t>(j)].queries;
    last = j;
  }
  for (const HeadConfig& head : heads) {
    if (head.queries < 1) {
      throw MakeError<DataError>("{}: '{}' leaves a key/value head without queries",
                                 attention.file(), attention.Full("query_to_kv"));
    }
  }
  return heads;
}

LayerConfig ParseLayer(const JsonReader& reader, int64_t position, const ModelConfig& dense) {
  LayerConfig layer;
  layer.source = reader.Get<int64_t>("source");
  if (layer.source < 0 || layer.source >= dense.num_layers()) {
    throw MakeError<DataError>("{}: '{}' is {}, the dense model has {} layers", reader.file(),
                               reader.Full("source"), layer.source, dense.num_layers());
  }
  layer.window = dense.layers[static_cast<size_t>(layer.source)].window;
  const JsonReader attention = reader.Child("attn");
  layer.attention_scale = attention.Get<double>("scale");
  layer.heads = ParseHeads(attention, dense);
  layer.selected_pairs = attention.Has("rope_pairs");
  layer.mlp_width = reader.Child("mlp").Size("width");
  const auto stream = Integers(reader, "stream");
  if (stream.size() != 3) {
    throw MakeError<DataError>("{}: '{}' must hold three widths", reader.file(),
                               reader.Full("stream"));
  }
  layer.in_width = stream[0], layer.mid_width = stream[1], layer.out_width = stream[2];
  const JsonReader shortcut = reader.Child("shortcut");
  layer.attn_shortcut = shortcut.Get<bool>("attn");
  layer.mlp_shortcut = shortcut.Get<bool>("mlp");
  for (const Role role : ParseRoles(reader, "bias", dense)) layer.linears[role].bias = true;
  for (const Role role : ParseRoles(reader, "scales", dense)) layer.linears[role].scale = true;
  const JsonReader ranks = reader.Child("low_rank");
  for (const auto& [name, rank] : ranks.object().items()) {
    layer.linears[ParseRole(reader, "low_rank", name, dense)].rank = ranks.Size(name);
  }
  if (reader.Has("alias")) {
    layer.shares_with = reader.Child("alias").Get<int64_t>("of");
    if (*layer.shares_with < 0 || *layer.shares_with >= position) {
      throw MakeError<DataError>("{}: '{}' must name an earlier layer", reader.file(),
                                 reader.Full("alias.of"));
    }
  }
  return layer;
}

// Whether the blocks are those of the dense model in shape, and so is what is around them.
bool IsPlain(const ModelConfig& config) {
  const ModelConfig& dense = config.Dense();
  const auto around = [](const ModelConfig& c) {
    return std::tuple(c.embedding_width, c.head_width, c.norm, c.norm_eps, c.norm_divisor,
                      c.head_bias, c.tied_head);
  };
  const auto like_first = [&](LayerConfig layer) {
    layer.source = dense.layers.front().source;
    return layer == dense.layers.front();
  };
  return !config.layers.empty() && around(config) == around(dense) &&
         std::all_of(dense.layers.begin(), dense.layers.end(), like_first) &&
         std::all_of(config.layers.begin(), config.layers.end(), like_first);
}

// In a config.json: the number of layers, and their types where there is a list.
void SetLayers(json& file, int64_t layers) {
  file["num_hidden_layers"] = layers;
  const auto types = file.find("layer_types");
  if (types == file.end() || !types->is_array() || types->empty()) return;
  const json first = types->front();
  const bool equal =
      std::all_of(types->begin(), types->end(), [&](const json& type) { return type == first; });
  if (equal) *types = json::array_t(static_cast<size_t>(layers), first);
}

json CondenseObject(const ModelConfig& config, const WeightNames& names) {
  const ModelConfig& dense = config.Dense();
  const RealRatios ratios = RatiosOf(config);
  const ParameterCount count = CountParameters(config);
  json layers = json::array();
  for (int64_t l = 0; l < config.num_layers(); ++l) {
    layers.push_back(LayerObject(config.layers[static_cast<size_t>(l)], l, names));
  }
  return {{"format", kFormat},
          {"family", config.family},
          {"base",
           {{"n_layers", dense.num_layers()},
            {"d", dense.hidden_size},
            {"n_heads", dense.num_heads},
            {"n_kv_heads", dense.num_kv_heads},
            {"head_dim", dense.head_dim},
            {"d_int", dense.intermediate_size},
            {"tied", dense.tied_head}}},
          {"stream",
           {{"embedding_width", config.embedding_width},
            {"head_width", config.head_width},
            {"norm", NormName(config.norm)},
            {"norm_divisor", config.norm_divisor},
            {"norm_eps", config.norm_eps},
            {"head_bias", config.head_bias},
            {"tied", config.tied_head}}},
          {"layers", layers},
          {"accounting",
           {{"parameters", count.Total()},
            {"block_parameters", count.block},
            {"block", ratios.block},
            {"total", ratios.total},
            {"compute", ratios.compute}}}};
}

ModelConfig ApplyCondenseObject(const ModelConfig& dense, const json& object,
                                const std::string& file) {
  const JsonReader reader(object, file, "condense");
  const auto format = reader.Get<int64_t>("format");
  if (format != kFormat) {
    throw MakeError<DataError>(
        "{}: condense.format is {}, this program reads {}; use a newer version", file, format,
        kFormat);
  }
  ModelConfig config = dense.Derived();
  const JsonReader stream = reader.Child("stream");
  config.embedding_width = stream.Size("embedding_width");
  config.head_width = stream.Size("head_width");
  config.norm = ParseNorm(stream);
  config.norm_divisor = stream.Get<int64_t>("norm_divisor");
  config.norm_eps = stream.Get<double>("norm_eps");
  config.head_bias = stream.Get<bool>("head_bias");
  config.tied_head = stream.Get<bool>("tied");
  if (!reader.Has("layers") || !object.at("layers").is_array()) {
    throw MakeError<DataError>("{}: condense.layers must be a list", file);
  }
  config.layers.clear();
  int64_t width = config.embedding_width;
  for (const json& item : object.at("layers")) {
    const auto position = static_cast<int64_t>(config.layers.size());
    const std::string path = fmt::format("condense.layers[{}]", position);
    config.layers.push_back(ParseLayer(JsonReader(item, file, path), position, dense));
    if (config.layers.back().in_width != width) {
      throw MakeError<DataError>("{}: {} takes a stream of {}, but {} reaches it", file, path,
                                 config.layers.back().in_width, width);
    }
    width = config.layers.back().out_width;
  }
  if (width != config.head_width) {
    throw MakeError<DataError>("{}: the head takes a stream of {}, but {} reaches it", file,
                               config.head_width, width);
  }
  const auto counted = CountParameters(config).Total();
  const auto stated = reader.Child("accounting").Get<int64_t>("parameters");
  if (counted != stated) {
    throw MakeError<DataError>("{}: condense.accounting.parameters is {}, the layers amount to {}",
                               file, stated, counted);
  }
  return config;
}

}  // namespace

void DescribeCompressed(const ModelConfig& config, const WeightNames& names, json& file) {
  json object = CondenseObject(config, names);
  // Of a model that is compressed once more, the object has what the file said before.
  const bool before = file.value("model_type", json()) == kCompressedType;
  const json& dense = before ? file.at("condense").at("base") : file;
  for (const char* key : {"model_type", "architectures"}) {
    if (dense.contains(key)) object["base"][key] = dense.at(key);
  }
  const bool plain = IsPlain(config);
  SetLayers(file, plain ? config.num_layers() : config.Dense().num_layers());
  if (plain) {
    file.erase("architectures");
    for (const char* key : {"model_type", "architectures"}) {
      if (object["base"].contains(key)) file[key] = object["base"].at(key);
    }
  } else {
    file["model_type"] = kCompressedType;
    file["architectures"] = json::array({"CondenseForCausalLM"});
  }
  file["condense"] = std::move(object);
}

ModelConfig DescribedModel(const ModelFamily& family, const json& file, const std::string& path) {
  if (!file.contains("condense")) return family.Parse(file, path);
  const JsonReader object = JsonReader(file, path).Child("condense");
  json dense = file;
  if (object.Has("base")) SetLayers(dense, object.Child("base").Count("n_layers"));
  return ApplyCondenseObject(family.Parse(dense, path), object.object(), path);
}

}  // namespace condense
