// How far the next-token distributions of a compressed model are from those of the dense model
// (protocols.md 4).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "data/protocols/windows.h"
#include "evaluation/measured.h"
#include "model/hidden_states.h"
#include "model/model_source.h"

namespace condense {

// p: dense, q: compressed, at every position that has a target; natural logarithms.
struct AgreementResult {
  double kl_mean = 0, kl_median = 0, kl_p90 = 0, kl_p99 = 0, kl_max = 0;
  double top1_agree = 0;           // share of positions with the same argmax (ties: lowest id)
  double top5_overlap = 0;         // mean number of tokens that both top fives have, / 5
  double dp_mean = 0, dp_rms = 0;  // of q_t - p_t for the target t
  double nll_diff = 0;             // mean of log p_t - log q_t; its exp is the perplexity ratio
  // Standard errors from the window means.
  double kl_error = 0, top1_error = 0, nll_diff_error = 0;
  int64_t windows = 0, window = 0, positions = 0;
  int64_t vocabulary_cut = 0;  // rows of the larger vocabulary that were ignored
  std::vector<double> window_kl, window_top1, window_nll_diff;  // means of each window
  std::string ids_sha256;
  double seconds = 0;
};

struct AgreementOptions {
  std::optional<int64_t> first_windows;  // nullopt: all
};

// The dense side of agreement on a text: its windows and the states after the dense model's last
// block, with which every compressed model is compared. `dense` and `text` must outlive it. Throws
// as EvaluateAgreement().
class AgreementReference {
 public:
  AgreementReference(const ModelSource& dense, const EvaluationText& text,
                     const AgreementOptions& options = {});
  AgreementReference(const AgreementReference&) = delete;
  AgreementReference& operator=(const AgreementReference&) = delete;

  const ModelSource& dense() const { return dense_; }
  const EvaluationText& text() const { return text_; }
  const TokenBatches& batches() const { return batches_; }
  int64_t windows() const { return windows_; }
  // Of batches(), [batch, tokens, width] before the final norm.
  Tensor Batch(int64_t index) const { return states_.Batch(index); }
  const Head& head() const { return states_.head(); }
  // Computes all states now and keeps them on the host: windows x tokens x width numbers.
  void Keep() { states_.Keep(); }
  // The memory of all states.
  uint64_t Bytes() const;

 private:
  const ModelSource& dense_;
  const EvaluationText& text_;
  int64_t windows_;
  TokenBatches batches_;
  HiddenStates states_;
};

// Logits are computed in chunks of positions; a streamed model is never in memory as a whole.
// ConfigError when a window is longer than the positions of either model; NumericError for logits
// that are not finite and for a divergence that is negative by more than rounding.
AgreementResult EvaluateAgreement(const AgreementReference& reference,
                                  const ModelSource& compressed);
AgreementResult EvaluateAgreement(const ModelSource& dense, const ModelSource& compressed,
                                  const EvaluationText& text, const AgreementOptions& options = {});

// The numbers of a result under their metrics, with the samples of the windows.
Measured MeasuredOf(const AgreementResult& result);

}  // namespace condense
