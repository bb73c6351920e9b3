// The object `condense` in the config.json of a compressed model: per-layer dimensions and what
// changed in the stream (methods.md 8.2). The other keys of the file are those of the dense model,
// but for its type and its number of layers.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "model/model_config.h"
#include "model/stored/family.h"

namespace condense {

// The model_type of a compressed model that only this program computes. Other programs refuse a type
// that they do not know; under the dense model's they would load what fits and draw the rest at
// random.
constexpr const char* kCompressedType = "condense";

// Makes `file`, the config.json of the dense model, that of `config`. A model whose blocks are like
// those of the dense one, only fewer or with other numbers, stays one that other programs read. In
// every case the object `condense` has the whole description. names: those of its family.
void DescribeCompressed(const ModelConfig& config, const WeightNames& names, nlohmann::json& file);

// The model that config.json describes, dense or compressed. DataError with file and key for
// anything inconsistent.
ModelConfig DescribedModel(const ModelFamily& family, const nlohmann::json& file,
                           const std::string& path);

}  // namespace condense
