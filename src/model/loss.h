// Losses over next tokens, in chunks of positions so that no full logits of a long text are kept.
#pragma once

#include "model/model_source.h"

namespace condense {

// hidden: [batch, tokens, width] before the final norm; ids: [batch, tokens]. Negative
// log-likelihood of ids 1 ... tokens-1: [batch, tokens - 1] float64; log-softmax in float32.
Tensor NextTokenNll(const Head& head, const Tensor& hidden, const Tensor& ids);

// Scores of chosen positions: hidden [rows, width], targets [rows].
struct TargetScores {
  Tensor log_prob;  // [rows] float64
  Tensor greedy;    // [rows] bool: the target is the argmax (ties: lowest id)
};
TargetScores ScoreTargets(const Head& head, const Tensor& hidden, const Tensor& targets);

}  // namespace condense
