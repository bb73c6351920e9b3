#include "evaluation/scorer.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/progress.h"
#include "base/system.h"
#include "evaluation/bad_layer.h"
#include "evaluation/packed_requests.h"
#include "model/causal_lm.h"
#include "model/loss.h"
#include "model/stored/check.h"

namespace condense {
namespace {

// Enough to keep matrix products efficient; on the CPU few enough for activations to stay in cache.
int64_t BatchTokens(const ScoreOptions& options, Device device) {
  if (options.batch_tokens > 0) return options.batch_tokens;
  return device.is_cpu() ? 4096 : 16384;
}

class Scorer {
 public:
  Scorer(const ModelSource& model, const std::vector<EncodedRequest>& requests,
         const ScoreOptions& options)
      : model_(model),
        requests_(requests),
        options_(options),
        batches_(
            PlanBatches(requests, BatchTokens(options, model.device()), options.share_prefixes)),
        scores_(requests.size()),
        progress_("scoring", static_cast<int64_t>(requests.size()), "requests") {}

  void RunResident() {
    const Embedding embedding = model_.LoadEmbedding();
    const Head head = model_.LoadHead();
    std::vector<Block> blocks;
    for (int64_t l = 0; l < layers(); ++l) blocks.push_back(model_.LoadBlock(l));
    for (const RequestBatch& batch : batches_) {
      CheckInterrupt();
      const PackedBatch packed = Pack(batch);
      Tensor x = Embed(embedding, packed);
      for (int64_t l = 0; l < layers(); ++l) x = Run(blocks[static_cast<size_t>(l)], l, packed, x);
      Collect(head, batch, packed, x);
    }
  }

  // As many batches at a time as there is memory for their activations.
  void RunStreamed() {
    const auto budget =
        options_.stream_bytes > 0 ? options_.stream_bytes : static_cast<int64_t>(MemoryBytes() / 4);
    for (size_t begin = 0; begin < batches_.size();) {
      size_t end = begin;
      int64_t bytes = 0;
      do {
        bytes += ActivationBytes(batches_[end]);
        ++end;
      } while (end < batches_.size() && bytes + ActivationBytes(batches_[end]) <= budget);
      StreamThrough(std::span(batches_).subspan(begin, end - begin));
      begin = end;
    }
  }

  std::vector<Score> TakeScores() { return std::move(scores_); }

 private:
  int64_t layers() const { return model_.config().num_layers(); }

  int64_t ActivationBytes(const RequestBatch& batch) const {
    int64_t width = 0;
    for (const LayerConfig& layer : model_.config().layers) {
      width = std::max({width, layer.in_width, layer.out_width});
    }
    return batch.tokens * width * static_cast<int64_t>(at::elementSize(model_.dtype()));
  }

  PackedBatch Pack(const RequestBatch& batch) const {
    return PackBatch(requests_, batch, options_.share_prefixes);
  }

  Tensor Embed(const Embedding& embedding, const PackedBatch& packed) const {
    const std::span<const TokenId> ids[] = {packed.ids};
    return embedding.Forward(StackIds(ids, model_.device()), packed.layout);
  }

  Tensor Run(const Block& block, int64_t layer, const PackedBatch& packed, const Tensor& x) const {
    return block.Forward(x,
                         {.layout = layer + 1 < layers() ? &packed.layout : &packed.last_layout});
  }

  void StreamThrough(std::span<const RequestBatch> batches) {
    std::vector<PackedBatch> packed;
    std::vector<Tensor> states;  // on the host; batches visit the device one at a time
    {
      const Embedding embedding = model_.LoadEmbedding();
      for (const RequestBatch& batch : batches) {
        packed.push_back(Pack(batch));
        states.push_back(Embed(embedding, packed.back()).to(at::kCPU));
      }
    }
    for (int64_t l = 0; l < layers(); ++l) {
      const Block block = model_.LoadBlock(l);
      for (size_t i = 0; i < batches.size(); ++i) {
        CheckInterrupt();
        states[i] = Run(block, l, packed[i], states[i].to(model_.device())).to(at::kCPU);
      }
    }
    const Head head = model_.LoadHead();
    for (size_t i = 0; i < batches.size(); ++i) {
      Collect(head, batches[i], packed[i], states[i].to(model_.device()));
    }
  }

  void Collect(const Head& head, const RequestBatch& batch, const PackedBatch& packed,
               const Tensor& hidden) {
    const auto scored = ScoreTargets(head, hidden.flatten(0, 1), packed.targets);
    std::vector<Score> scores(batch.requests.size(), Score{.greedy = true});
    for (size_t t = 0; t < scored.size(); ++t) {
      Score& score = scores[packed.request_of_target[t]];
      score.log_likelihood += scored[t].log_prob;
      score.greedy = score.greedy && scored[t].greedy;
      ++score.tokens;
    }
    for (size_t i = 0; i < scores.size(); ++i) {
      if (!std::isfinite(scores[i].log_likelihood)) Refuse(batch.requests[i]);
      scores_[batch.requests[i]] = scores[i];
    }
    if (options_.finished) options_.finished(batch.requests, scores);
    progress_.Advance(static_cast<int64_t>(scores.size()));
  }

  [[noreturn]] void Refuse(size_t request) const {
    const std::vector<TokenId> input = requests_[request].Input();
    const std::span<const TokenId> ids[] = {input};
    throw MakeError<NumericError>(
        "request {}: the log-likelihood is not finite; first seen after {}", request,
        FirstBadLayer(model_, StackIds(ids, model_.device())));
  }

  const ModelSource& model_;
  const std::vector<EncodedRequest>& requests_;
  const ScoreOptions& options_;
  const std::vector<RequestBatch> batches_;
  std::vector<Score> scores_;
  Progress progress_;
};

void Check(const ModelConfig& config, const std::vector<EncodedRequest>& requests) {
  for (size_t r = 0; r < requests.size(); ++r) {
    const std::string place = fmt::format("request {}", r);
    CONDENSE_CHECK(!requests[r].head.empty() && !requests[r].continuation.empty(), "{} is empty",
                   place);
    RequireKnownIds(config, requests[r].head, place);
    RequireKnownIds(config, requests[r].continuation, place);
  }
}

}  // namespace

std::vector<Score> ScoreRequests(const ModelSource& model,
                                 const std::vector<EncodedRequest>& requests,
                                 const ScoreOptions& options) {
  const InferenceScope inference;
  Check(model.config(), requests);
  Scorer scorer(model, requests, options);
  if (model.resident()) {
    scorer.RunResident();
  } else {
    scorer.RunStreamed();
  }
  return scorer.TakeScores();
}

}  // namespace condense
