#include "model/stored/stored_model.h"

#include "base/system.h"
#include "model/parameters.h"

namespace condense {
namespace {

// Beside the model, statistics and activations need memory too.
bool FitsInMemory(const ModelSource& model) {
  const auto bytes = static_cast<uint64_t>(CountParameters(model.config()).UntiedTotal()) *
                     at::elementSize(model.dtype());
  return bytes <= MemoryBytes() / 4;
}

}  // namespace

StoredModel::StoredModel(const std::filesystem::path& place, const LoadOptions& options,
                         Residence residence)
    : stored_(CheckpointModel::Open(place, options)) {
  if (residence == Residence::kAuto && FitsInMemory(*stored_)) resident();
}

const ModelSource& StoredModel::source() const {
  if (resident_ != nullptr) return *resident_;
  return *stored_;
}

const CausalLm& StoredModel::resident() {
  if (resident_ == nullptr) resident_ = CausalLm::Load(*stored_);
  return *resident_;
}

}  // namespace condense
