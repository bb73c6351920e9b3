// Agreement between a configuration and the tensors of a model.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "model/causal_lm.h"
#include "model/model_source.h"

namespace condense {

// Fails a CONDENSE_CHECK, naming layer and tensor, unless the block has exactly the shape that
// `layer` describes.
void CheckBlockShape(const ModelConfig& config, const LayerConfig& layer, Block& block,
                     int64_t position);
void CheckShapes(const CausalLm& model);

// DataError, naming the tensor, if a floating-point tensor holds a NaN or an infinity.
void RequireFiniteWeights(const Tensor& tensor, const std::string& name, const std::string& file);

// DataError, naming the `source` of the ids, if the model's embedding has no row for one of them.
void RequireKnownIds(const ModelConfig& config, std::span<const int32_t> ids,
                     const std::string& source);

}  // namespace condense
