// Packs requests for forward passes so that common prefixes of their inputs are computed once: the
// choices of a question share the question, WinoGrande's sentences everything up to the name, and
// the questions of a task their first words.
//
// Requests are sorted by their input ids, which brings together those that share most. The inputs
// of a batch then form a trie; its tokens, in preorder, are a packed batch without padding.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/requests.h"
#include "kernels/target_scores.h"
#include "model/packed_layout.h"

namespace condense {

// Requests that run together, by their indices in the list.
struct RequestBatch {
  std::vector<size_t> requests;  // in the order of their inputs
  int64_t tokens = 0;            // to compute
};

// Batches of at most `batch_tokens`, unless a single request has more. Without `share`, common
// prefixes are computed for every request.
std::vector<RequestBatch> PlanBatches(const std::vector<EncodedRequest>& requests,
                                      int64_t batch_tokens, bool share);

struct PackedBatch {
  std::vector<TokenId> ids;
  PackedLayout layout;       // of every block but the last
  PackedLayout last_layout;  // of the last block, whose output is needed only at scored positions
  std::vector<RowTarget> targets;         // rows of the last block's output, ascending
  std::vector<size_t> request_of_target;  // indices into the batch's list of requests
};

PackedBatch PackBatch(const std::vector<EncodedRequest>& requests, const RequestBatch& batch,
                      bool share);

}  // namespace condense
