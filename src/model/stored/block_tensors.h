// Which tensors a stored block has, by their names in Block::ForEachTensor().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/block.h"
#include "model/model_config.h"

namespace condense {

// True of a matrix or factor of a linear map: a block that shares its weights with another one does
// not store it.
bool IsLinearWeight(const std::string& role_name);

// The shape that a tensor of a block must have; nullopt when the block has no such tensor.
std::optional<std::vector<int64_t>> ExpectedShape(const ModelConfig& config,
                                                  const LayerConfig& layer,
                                                  const std::string& role_name);

// A block of the right kinds without tensors, to be filled.
Block EmptyBlock(const ModelConfig& config, const LayerConfig& layer);

}  // namespace condense
