// Which token of a packed batch is at which position of which sequence.
//
// A packed batch is one row of tokens, [1, tokens]: sequences one after the other, without padding.
// A beginning that several sequences have in common is stored once. The runs of
// kernels/packed_attention.h say which run continues which. Embedding and attention need the
// layout; linear maps and norms do not.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "kernels/packed_attention.h"
#include "tensor/tensor.h"

namespace condense {

class PackedLayout {
 public:
  // `begin`, `end` and `parent` of each run are used; runs cover the tokens in preorder.
  explicit PackedLayout(std::vector<TokenRun> runs);

  // For a block whose output is needed only for the last tokens of each run, from token first[r]
  // on: the other tokens provide keys and values.
  PackedLayout AskedFrom(std::span<const int64_t> first) const;

  const std::vector<TokenRun>& runs() const { return runs_; }
  int64_t tokens() const { return runs_.back().end; }
  int64_t queries() const { return queries_; }
  int64_t positions() const { return positions_; }  // length of the longest sequence

  Tensor PositionsOfTokens(Device device) const;  // [tokens] int64
  // The tokens whose output is needed, of x [1, tokens, width]; x itself if that is all of them.
  Tensor Queries(const Tensor& x) const;

  // For kernels that need rectangular input: pieces of neighbouring runs, each with all keys that
  // its tokens see. Padding repeats row 0 and is masked.
  struct Rectangle {
    int64_t pieces = 0, queries = 0, keys = 0;
    Tensor query_rows, key_rows;            // [pieces * queries], [pieces * keys] int64
    Tensor query_positions, key_positions;  // as many, int64
    Tensor mask;                            // [pieces, 1, queries, keys] bool: true where seen
    Tensor result_rows;                     // place of each query in [pieces * queries]
  };
  // Computed at first use and kept on the host, because many layouts exist while one is in use.
  Rectangle RectangleOn(Device device) const;

 private:
  Rectangle MakeRectangle() const;

  std::vector<TokenRun> runs_;
  int64_t queries_ = 0, positions_ = 0;
  mutable std::optional<Rectangle> rectangle_;
  mutable Tensor query_tokens_;  // on the device of the last use
};

}  // namespace condense
