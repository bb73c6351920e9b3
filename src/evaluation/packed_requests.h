// Requests packed for forward passes so that what their inputs have in common at the beginning is
// computed once: the choices of one question share the question, WinoGrande's sentences all but the
// name, and the questions of a task the words that all begin with.
//
// Requests are put in the order of their input ids, which brings those together that share most;
// the inputs of a batch then form a trie whose tokens, in preorder, are a packed batch without
// padding.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/requests.h"
#include "kernels/target_scores.h"
#include "model/packed_layout.h"

namespace condense {

// Requests that run together, by their places in the list.
struct RequestBatch {
  std::vector<size_t> requests;  // in the order of their inputs
  int64_t tokens = 0;            // that are computed
};

// Batches of at most `batch_tokens`, unless one request alone has more. `share` false: nothing is
// taken to be in common.
std::vector<RequestBatch> PlanBatches(const std::vector<EncodedRequest>& requests,
                                      int64_t batch_tokens, bool share);

struct PackedBatch {
  std::vector<TokenId> ids;
  PackedLayout layout;       // of every block but the last
  PackedLayout last_layout;  // of the last block, whose output is wanted at scored positions alone
  std::vector<RowTarget> targets;         // rows of the last block's output, ascending
  std::vector<size_t> request_of_target;  // places in the batch's list of requests
};

PackedBatch PackBatch(const std::vector<EncodedRequest>& requests, const RequestBatch& batch,
                      bool share);

}  // namespace condense
