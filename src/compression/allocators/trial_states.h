// The residual streams of many models that differ in one block each, carried upwards together. What
// exceeds a budget waits in a file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/scratch_file.h"
#include "model/block.h"

namespace condense {

// The streams of some trials over the same batches of tokens.
struct TrialGroup {
  std::vector<int64_t> trials;  // who they are
  std::vector<Tensor> states;   // for each batch, trial after trial: [trials x rows, tokens, width]
  uint64_t offset = 0;          // in the file, if states are there
  bool in_file() const { return states.empty(); }
};

class TrialStates {
 public:
  // memory_bytes: of streams that stay in memory, where they were made.
  explicit TrialStates(uint64_t memory_bytes) : memory_bytes_(memory_bytes) {}

  // states: as in TrialGroup; contiguous, and of the same shapes and type in all groups but for the
  // number of trials.
  void Add(std::vector<int64_t> trials, std::vector<Tensor> states);
  // Carries all streams through a block, at most TokenBatches::kBatchTokens tokens at a time.
  void Advance(const Block& block);
  // Hands out group by group, and forgets them.
  void TakeAll(const std::function<void(const TrialGroup& group)>& use);

  size_t groups() const { return groups_.size(); }
  uint64_t bytes_in_file() const { return file_ ? file_->size() : 0; }

 private:
  TrialGroup Loaded(const TrialGroup& group) const;

  uint64_t memory_bytes_, used_bytes_ = 0;
  std::vector<TrialGroup> groups_;
  std::unique_ptr<ScratchFile> file_;
  // Of one trial in each batch; how tensors that come back from the file are made.
  std::vector<std::vector<int64_t>> shapes_;
  at::TensorOptions options_;
};

}  // namespace condense
