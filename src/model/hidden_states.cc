#include "model/hidden_states.h"

#include "base/progress.h"
#include "base/system.h"

namespace condense {

HiddenStates::HiddenStates(const ModelSource& model, const TokenBatches& batches,
                           const std::string& title)
    : model_(model), batches_(batches) {
  const InferenceScope inference;
  const int64_t layers = model.config().num_layers();
  if (model.resident()) {
    embedding_ = model.LoadEmbedding();
    for (int64_t l = 0; l < layers; ++l) blocks_.push_back(model.LoadBlock(l));
  } else {
    stream_.emplace(model.LoadEmbedding(), batches, model.device());
    Progress progress(title, layers, "layers");
    stream_->Advance(model, BlocksFrom(model), &progress);
  }
  head_ = model.LoadHead();
}

Tensor HiddenStates::Batch(int64_t index) const {
  const InferenceScope inference;
  CheckInterrupt();
  if (stream_) return stream_->batch(index);
  if (!kept_.empty()) return kept_[static_cast<size_t>(index)].to(model_.device());
  Tensor x = embedding_->Forward(batches_.ids()[static_cast<size_t>(index)].to(model_.device()));
  for (const Block& block : blocks_) x = block.Forward(x);
  return x;
}

void HiddenStates::Keep() {
  if (stream_) return;
  std::vector<Tensor> kept;
  for (int64_t i = 0; i < static_cast<int64_t>(batches_.ids().size()); ++i) {
    kept.push_back(Batch(i).to(at::kCPU));
  }
  kept_ = std::move(kept);
}

}  // namespace condense
