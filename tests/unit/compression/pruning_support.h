// Tiny models pruned by units or blocks, and the activations that their methods look at.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "compression/solvers/indices.h"
#include "unit/compression/compressed_models.h"

namespace condense {

// With the method's own allocator.
inline Compressed Pruned(TinyModel& tiny, const std::string& yaml, double ratio,
                         Match match = Match::kBlock, uint64_t seed = 5) {
  const auto method = Method(yaml);
  Component<Allocator> allocator;
  if (method->UsesAllocator()) allocator = MakeComponent<Allocator>(method->default_allocator());
  CausalLmBuilder builder("pruned");
  Compressed made;
  made.result = Compress({.method = *method,
                          .allocator = allocator.object.get(),
                          .ratio = ratio,
                          .match = match,
                          .seed = seed},
                         tiny.statistics, tiny.statistics, builder);
  made.model = builder.Take();
  CheckShapes(*made.model);
  return made;
}

// What passes a tap of one block of a model on the calibration set of `tiny`: [tokens, width]
// float64. An implementation apart from the statistics.
inline Tensor ActivationsAt(const CausalLm& model, const CalibrationSet& set, size_t layer,
                            Tap tap) {
  class Recorder final : public TapSink {
   public:
    explicit Recorder(Tap tap) : tap_(tap) {}
    bool Wants(Tap tap) const override { return tap == tap_; }
    void OnTap(Tap, const Tensor& x) override { rows.push_back(x.flatten(0, -2).to(kF64)); }
    std::vector<Tensor> rows;

   private:
    Tap tap_;
  } recorder(tap);
  const InferenceScope inference;
  for (const auto& sequence : set.sequences) {
    const std::span<const int32_t> one[] = {sequence};
    Tensor x = model.embedding().Forward(StackIds(one, at::kCPU));
    for (size_t l = 0; l < layer; ++l) x = model.blocks()[l].Forward(x);
    model.blocks()[layer].Forward(x, {.taps = &recorder});
  }
  return at::cat(recorder.rows);
}

inline const Indices& KeptOf(const Compressed& made, size_t layer, const std::string& module) {
  return made.result.report.layers.at(layer).modules.at(module).kept;
}

}  // namespace condense
