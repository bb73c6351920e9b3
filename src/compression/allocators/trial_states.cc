#include "compression/allocators/trial_states.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/system.h"
#include "model/activation_stream.h"

namespace condense {
namespace {

uint64_t BytesOf(const std::vector<Tensor>& states) {
  uint64_t bytes = 0;
  for (const Tensor& state : states) bytes += state.nbytes();
  return bytes;
}

void WriteAt(ScratchFile& file, uint64_t offset, const std::vector<Tensor>& states) {
  for (const Tensor& state : states) {
    const Tensor here = state.to(at::kCPU).contiguous();
    file.WriteAt(offset, here.const_data_ptr(), here.nbytes());
    offset += here.nbytes();
  }
}

// The rows [rows, tokens, width] are replaced, some at a time.
void AdvanceRows(const Block& block, const Tensor& state) {
  const int64_t tokens = std::max<int64_t>(1, state.size(1));
  const int64_t rows = std::max<int64_t>(1, TokenBatches::kBatchTokens / tokens);
  for (int64_t begin = 0; begin < state.size(0); begin += rows) {
    CheckInterrupt();
    const Tensor part = state.narrow(0, begin, std::min(rows, state.size(0) - begin));
    part.copy_(block.Forward(part));
  }
}

}  // namespace

void TrialStates::Add(std::vector<int64_t> trials, std::vector<Tensor> states) {
  const auto count = static_cast<int64_t>(trials.size());
  CONDENSE_CHECK(count > 0 && !states.empty(), "{} trials, {} batches", count, states.size());
  if (shapes_.empty()) {
    options_ = states.front().options();
    for (const Tensor& state : states) {
      shapes_.push_back({state.size(0) / count, state.size(1), state.size(2)});
    }
  }
  TrialGroup group{.trials = std::move(trials), .states = {}};
  const uint64_t bytes = BytesOf(states);
  if (used_bytes_ + bytes <= memory_bytes_) {
    used_bytes_ += bytes;
    group.states = std::move(states);
  } else {
    if (!file_) file_ = std::make_unique<ScratchFile>();
    group.offset = file_->size();
    WriteAt(*file_, group.offset, states);
  }
  groups_.push_back(std::move(group));
}

TrialGroup TrialStates::Loaded(const TrialGroup& group) const {
  if (!group.in_file()) return group;
  TrialGroup loaded = group;
  uint64_t offset = group.offset;
  for (const std::vector<int64_t>& shape : shapes_) {
    const auto count = static_cast<int64_t>(group.trials.size());
    Tensor state = at::empty({count * shape[0], shape[1], shape[2]}, options_.device(at::kCPU));
    file_->ReadAt(offset, state.mutable_data_ptr(), state.nbytes());
    offset += state.nbytes();
    loaded.states.push_back(state.to(options_.device()));
  }
  return loaded;
}

void TrialStates::Advance(const Block& block) {
  for (const TrialGroup& group : groups_) {
    const TrialGroup loaded = Loaded(group);
    for (const Tensor& state : loaded.states) AdvanceRows(block, state);
    if (group.in_file()) WriteAt(*file_, group.offset, loaded.states);
  }
}

void TrialStates::TakeAll(const std::function<void(const TrialGroup& group)>& use) {
  for (TrialGroup& group : groups_) {
    use(Loaded(group));
    group.states.clear();
  }
  groups_.clear();
  file_.reset();
  used_bytes_ = 0;
}

}  // namespace condense
