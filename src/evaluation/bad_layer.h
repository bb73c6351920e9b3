// Where in a model numbers stop being finite, for the error that says so.
#pragma once

#include <string>

#include "model/model_source.h"

namespace condense {

// "the embedding", "layer 3" or "the head": where values that are not finite are first seen when
// ids, [1, tokens], run through the model.
std::string FirstBadLayer(const ModelSource& model, const Tensor& ids);

}  // namespace condense
