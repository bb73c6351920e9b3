// The object `condense` in the config.json of a compressed model: per-layer dimensions and what
// changed in the stream (methods.md 8.2). The other keys of the file are those of the dense model.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "model/model_config.h"
#include "model/stored/family.h"

namespace condense {

// The object that describes `config` relative to its dense model. `names`: those of its family,
// under which the tensors are written.
nlohmann::json CondenseObject(const ModelConfig& config, const WeightNames& names);

// The compressed model that `object` describes. DataError with file and key for anything
// inconsistent.
ModelConfig ApplyCondenseObject(const ModelConfig& dense, const nlohmann::json& object,
                                const std::string& file);

}  // namespace condense
