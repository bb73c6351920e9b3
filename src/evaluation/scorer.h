// Log-likelihoods of continuations (protocols.md 3.3, steps 5 and 6).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "data/requests.h"
#include "model/model_source.h"

namespace condense {

struct Score {
  double log_likelihood = 0;  // nats, summed over the continuation
  int64_t tokens = 0;         // continuation ids
  bool greedy = false;  // every continuation id is the argmax of its position (ties: lowest id)
};

struct ScoreOptions {
  int64_t batch_tokens = 0;    // ids of one forward pass; 0: chosen for the device
  bool share_prefixes = true;  // false: every request is computed by itself
  // Memory for the activations of a streamed model; 0: a quarter of the machine's memory.
  int64_t stream_bytes = 0;
  // Receives the requests of each finished batch, by their index in the list, and their scores.
  std::function<void(std::span<const size_t> requests, std::span<const Score> scores)> finished;
};

// Scores in the order of the requests. Common prefixes of inputs are computed once
// (packed_requests.h), logits only at scored positions. A model that is not resident is streamed
// block by block over as many requests as memory allows. NumericError, naming the request by its
// index in the list, when a score is not finite.
std::vector<Score> ScoreRequests(const ModelSource& model,
                                 const std::vector<EncodedRequest>& requests,
                                 const ScoreOptions& options = {});

}  // namespace condense
