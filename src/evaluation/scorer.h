// Log-likelihoods of continuations (protocols.md 3.3, steps 5 and 6).
#pragma once

#include <cstdint>
#include <vector>

#include "data/requests.h"
#include "model/causal_lm.h"

namespace condense {

struct Score {
  double log_likelihood = 0;  // nats, summed over the continuation
  int64_t tokens = 0;         // continuation ids
  bool greedy = false;  // every continuation id is the argmax of its position (ties: lowest id)
};

// Scores in the order of the requests. Longest first in execution, batched by tokens; the logits
// are formed at scored positions alone. NumericError, naming the request, when a score is not
// finite.
std::vector<Score> ScoreRequests(const CausalLm& model,
                                 const std::vector<EncodedRequest>& requests);

}  // namespace condense
