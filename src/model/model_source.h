// Where the parts of a model come from, block by block, and where they go.
//
// Everything that runs a model is written against ModelSource: a model larger than memory is
// streamed from its files, a small one stays in memory.
#pragma once

#include <memory>
#include <string>

#include "model/block.h"
#include "model/model_config.h"

namespace condense {

struct Embedding {
  Tensor tokens;     // [vocab, width]
  Tensor positions;  // [rows, width] or undefined
  int64_t offset = 0;

  // ids: [batch, tokens] int64 -> [batch, tokens, width]; positions start at `first`.
  Tensor Forward(const Tensor& ids, int64_t first = 0) const;
  // Of a packed batch: ids [1, tokens].
  Tensor Forward(const Tensor& ids, const PackedLayout& layout) const;
};

struct Head {
  Norm norm;      // the final norm
  Linear linear;  // [vocab, width]; shares the embedding's storage when tied

  // hidden: [..., width], before the final norm -> logits [..., vocab]
  Tensor Forward(const Tensor& hidden) const { return linear.Forward(norm.Forward(hidden)); }
};

class ModelSource {
 public:
  virtual ~ModelSource() = default;
  virtual const ModelConfig& config() const = 0;
  virtual Embedding LoadEmbedding() const = 0;
  virtual Block LoadBlock(int64_t position) const = 0;
  virtual Head LoadHead() const = 0;
  // True when LoadBlock costs nothing. Batches may then run through the whole model one by one.
  virtual bool resident() const = 0;
  virtual DType dtype() const = 0;
  virtual Device device() const = 0;
  // Of weights and configuration; identifies the model in fingerprints and caches.
  virtual const std::string& digest() const = 0;
};

// The head of a source; one that is tied uses the storage of `embedding`.
Head LoadHeadFor(const ModelSource& source, const Embedding& embedding);

class ModelSink {
 public:
  virtual ~ModelSink() = default;
  virtual void PutEmbedding(const Embedding& embedding) = 0;
  virtual void PutBlock(int64_t position, Block block) = 0;  // in ascending order
  virtual void PutHead(const Head& head) = 0;
  // `config` describes the model; the sink checks it against the tensors that it received.
  virtual void Finish(const ModelConfig& config) = 0;
};

}  // namespace condense
