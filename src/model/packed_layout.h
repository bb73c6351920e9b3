// Where the tokens of a packed batch stand.
//
// A packed batch is one row of tokens, [1, tokens]: sequences one after the other, nothing padded,
// and what sequences have in common at their beginnings stored once. The runs of
// kernels/packed_attention.h say who continues whom. Linear maps and norms do not look at it;
// embedding and attention do.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "kernels/packed_attention.h"
#include "tensor/tensor.h"

namespace condense {

class PackedLayout {
 public:
  // Of each run `begin`, `end` and `parent` count; runs cover the tokens in preorder.
  explicit PackedLayout(std::vector<TokenRun> runs);

  // The layout of a block whose output is wanted for the last tokens of each run only, from token
  // first[r] on: other tokens give keys and values alone.
  PackedLayout AskedFrom(std::span<const int64_t> first) const;

  const std::vector<TokenRun>& runs() const { return runs_; }
  int64_t tokens() const { return runs_.back().end; }
  int64_t queries() const { return queries_; }
  int64_t positions() const { return positions_; }  // length of the longest sequence

  Tensor PositionsOfTokens(Device device) const;  // [tokens] int64
  // The tokens whose output is wanted, of [1, tokens, width]; x itself where that is all of them.
  Tensor Queries(const Tensor& x) const;

  // For kernels that want a rectangle: pieces of neighbouring runs, each with all the keys that its
  // tokens see. Padded places repeat row 0 and are masked.
  struct Rectangle {
    int64_t pieces = 0, queries = 0, keys = 0;
    Tensor query_rows, key_rows;            // [pieces * queries], [pieces * keys] int64
    Tensor query_positions, key_positions;  // as many, int64
    Tensor mask;                            // [pieces, 1, queries, keys] bool: who sees whom
    Tensor result_rows;                     // of each query: its place in [pieces * queries]
  };
  // Made on first use and kept on the host: many layouts may be alive, and one is at work.
  Rectangle RectangleOn(Device device) const;

 private:
  Rectangle MakeRectangle() const;

  std::vector<TokenRun> runs_;
  int64_t queries_ = 0, positions_ = 0;
  mutable std::optional<Rectangle> rectangle_;
  mutable Tensor query_tokens_;  // on the device of the last use
};

}  // namespace condense
