// Finds where in a model values stop being finite, for error messages.
#pragma once

#include <string>

#include "model/model_source.h"

namespace condense {

// "the embedding", "layer 3" or "the head": where values that are not finite are first seen when
// ids, [1, tokens], run through the model.
std::string FirstBadLayer(const ModelSource& model, const Tensor& ids);

}  // namespace condense
