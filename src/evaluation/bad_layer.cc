#include "evaluation/bad_layer.h"

#include <fmt/format.h>

namespace condense {

std::string FirstBadLayer(const ModelSource& model, const Tensor& ids) {
  const auto finite = [](const Tensor& x) { return at::isfinite(x).all().item<bool>(); };
  Tensor x = model.LoadEmbedding().Forward(ids);
  if (!finite(x)) return "the embedding";
  for (int64_t l = 0; l < model.config().num_layers(); ++l) {
    x = model.LoadBlock(l).Forward(x);
    if (!finite(x)) return fmt::format("layer {}", l);
  }
  return "the head";
}

}  // namespace condense
