// The inputs of the linear maps of one block as explicit matrices, for tests that evaluate methods
// without their statistics.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "compression/linear_inputs.h"
#include "model/causal_lm.h"
#include "model/rope.h"
#include "support/tiny_model.h"

namespace condense {

class Recorder final : public TapSink {
 public:
  bool Wants(Tap) const override { return true; }
  void OnTap(Tap tap, const Tensor& x) override { rows_[tap].push_back(x.flatten(0, -2).to(kF64)); }
  // X [tokens, in] of a linear map.
  Tensor InputsOf(Role role) const { return at::cat(rows_.at(InputTap(role))); }

 private:
  std::map<Tap, std::vector<Tensor>> rows_;
};

// Block `layer` of the dense tiny model, on what the blocks of `below` below it make of the
// calibration set.
inline Recorder RecordInputs(const TinyModel& tiny, const CausalLm& below, int64_t layer) {
  Recorder recorder;
  const TokenBatches tokens(tiny.calibration.sequences);
  for (const Tensor& ids : tokens.ids()) {
    Tensor x = below.embedding().Forward(ids);
    for (int64_t l = 0; l < layer; ++l) x = below.LoadBlock(l).Forward(x);
    tiny.model->LoadBlock(layer).Forward(x, {.taps = &recorder});
  }
  return recorder;
}

// ||Y||_F^2 entry by entry.
inline double PlainSquaredNorm(const Tensor& y) {
  const Tensor flat = y.contiguous();
  const double* values = flat.const_data_ptr<double>();
  double sum = 0;
  for (int64_t i = 0; i < flat.numel(); ++i) sum += values[i] * values[i];
  return sum;
}

}  // namespace condense
