#include "model/packed_layout.h"

#include <algorithm>

#include "base/error.h"

namespace condense {
namespace {

// Queries of one piece of a rectangle, unless a run alone has more.
constexpr int64_t kPieceQueries = 128;

// Neighbouring runs and the tokens that they see, in the order of positions for each path.
struct Piece {
  size_t first = 0, last = 0;      // runs
  std::vector<int64_t> ancestors;  // of the first run: outside the piece
  int64_t queries = 0, keys = 0;
};

// What stands at each place of a rectangle.
struct Places {
  explicit Places(int64_t count)
      : rows(static_cast<size_t>(count)), positions(static_cast<size_t>(count)) {}
  void Set(int64_t place, int64_t row, int64_t position) {
    rows[static_cast<size_t>(place)] = row;
    positions[static_cast<size_t>(place)] = position;
  }
  std::vector<int64_t> rows, positions;
};

int64_t Length(const TokenRun& run) { return run.end - run.begin; }

// In preorder a run continues the one before it, or one that that one continues, or nothing.
bool InPreorder(const std::vector<TokenRun>& runs, size_t r) {
  int64_t path = static_cast<int64_t>(r) - 1;
  while (path > runs[r].parent) path = runs[static_cast<size_t>(path)].parent;
  return path == runs[r].parent;
}

std::vector<Piece> PiecesOf(const std::vector<TokenRun>& runs) {
  std::vector<Piece> pieces;
  for (size_t r = 0; r < runs.size(); ++r) {
    const int64_t asking = runs[r].end - runs[r].first_query;
    if (pieces.empty() || pieces.back().queries + asking > kPieceQueries) {
      Piece piece{.first = r};
      for (int64_t a = runs[r].parent; a >= 0; a = runs[static_cast<size_t>(a)].parent) {
        piece.ancestors.push_back(a);
        piece.keys += Length(runs[static_cast<size_t>(a)]);
      }
      pieces.push_back(std::move(piece));
    }
    pieces.back().last = r + 1;
    pieces.back().queries += asking;
    pieces.back().keys += Length(runs[r]);
  }
  return pieces;
}

}  // namespace

PackedLayout::PackedLayout(std::vector<TokenRun> runs) : runs_(std::move(runs)) {
  CONDENSE_CHECK(!runs_.empty(), "no runs");
  int64_t token = 0;
  for (size_t r = 0; r < runs_.size(); ++r) {
    TokenRun& run = runs_[r];
    CONDENSE_CHECK(run.begin == token && run.end > run.begin, "run {}: tokens {} to {} after {}", r,
                   run.begin, run.end, token);
    CONDENSE_CHECK(InPreorder(runs_, r), "run {} continues {}", r, run.parent);
    token = run.end;
    run.position = 0;
    if (run.parent >= 0) {
      const TokenRun& parent = runs_[static_cast<size_t>(run.parent)];
      run.position = parent.position + Length(parent);
    }
    run.first_query = run.query_row = run.begin;
    positions_ = std::max(positions_, run.position + Length(run));
  }
  queries_ = token;
}

PackedLayout PackedLayout::AskedFrom(std::span<const int64_t> first) const {
  CONDENSE_CHECK(first.size() == runs_.size(), "{} of {} runs", first.size(), runs_.size());
  PackedLayout layout(runs_);
  layout.queries_ = 0;
  for (size_t r = 0; r < runs_.size(); ++r) {
    TokenRun& run = layout.runs_[r];
    CONDENSE_CHECK(run.begin <= first[r] && first[r] <= run.end, "run {} from {}", r, first[r]);
    run.first_query = first[r];
    run.query_row = layout.queries_;
    layout.queries_ += run.end - run.first_query;
  }
  return layout;
}

Tensor PackedLayout::PositionsOfTokens(Device device) const {
  std::vector<int64_t> positions;
  positions.reserve(static_cast<size_t>(tokens()));
  for (const TokenRun& run : runs_) {
    for (int64_t i = 0; i < Length(run); ++i) positions.push_back(run.position + i);
  }
  return at::tensor(positions, kI64).to(device);
}

Tensor PackedLayout::Queries(const Tensor& x) const {
  if (queries_ == tokens()) return x;
  if (!query_tokens_.defined() || query_tokens_.device() != x.device()) {
    std::vector<int64_t> asking;
    for (const TokenRun& run : runs_) {
      for (int64_t token = run.first_query; token < run.end; ++token) asking.push_back(token);
    }
    query_tokens_ = at::tensor(asking, kI64).to(x.device());
  }
  return x.index_select(1, query_tokens_);
}

PackedLayout::Rectangle PackedLayout::RectangleOn(Device device) const {
  if (!rectangle_) rectangle_ = MakeRectangle();
  Rectangle moved = *rectangle_;
  for (Tensor* tensor : {&moved.query_rows, &moved.key_rows, &moved.query_positions,
                         &moved.key_positions, &moved.mask, &moved.result_rows}) {
    *tensor = tensor->to(device);
  }
  return moved;
}

PackedLayout::Rectangle PackedLayout::MakeRectangle() const {
  const std::vector<Piece> pieces = PiecesOf(runs_);
  Rectangle made{.pieces = static_cast<int64_t>(pieces.size())};
  for (const Piece& piece : pieces) {
    made.queries = std::max(made.queries, piece.queries);
    made.keys = std::max(made.keys, piece.keys);
  }
  Places queries(made.pieces * made.queries), keys(made.pieces * made.keys);
  std::vector<int64_t> result_rows(static_cast<size_t>(queries_));
  Tensor mask = at::zeros({made.pieces, 1, made.queries, made.keys}, at::kBool);
  // A padded query sees some key too: a softmax over nothing is not a number.
  mask.select(3, 0).fill_(true);
  bool* sees = mask.mutable_data_ptr<bool>();

  std::vector<int64_t> first_key(runs_.size());  // place of each run's keys in its piece
  for (int64_t p = 0; p < made.pieces; ++p) {
    const Piece& piece = pieces[static_cast<size_t>(p)];
    int64_t key = 0;
    const auto enter = [&](int64_t r) {
      const TokenRun& run = runs_[static_cast<size_t>(r)];
      first_key[static_cast<size_t>(r)] = key;
      for (int64_t i = 0; i < Length(run); ++i, ++key) {
        keys.Set(p * made.keys + key, run.begin + i, run.position + i);
      }
    };
    for (const int64_t a : piece.ancestors) enter(a);
    for (size_t r = piece.first; r < piece.last; ++r) enter(static_cast<int64_t>(r));

    int64_t place = p * made.queries;
    for (size_t r = piece.first; r < piece.last; ++r) {
      const TokenRun& run = runs_[r];
      for (int64_t token = run.first_query; token < run.end; ++token, ++place) {
        const int64_t row = run.query_row + token - run.first_query, within = token - run.begin;
        queries.Set(place, row, run.position + within);
        result_rows[static_cast<size_t>(row)] = place;
        bool* line = sees + place * made.keys;
        line[0] = false;
        std::fill_n(line + first_key[r], within + 1, true);
        for (int64_t a = run.parent; a >= 0; a = runs_[static_cast<size_t>(a)].parent) {
          const auto seen = static_cast<size_t>(a);
          std::fill_n(line + first_key[seen], Length(runs_[seen]), true);
        }
      }
    }
  }
  made.query_rows = at::tensor(queries.rows, kI64);
  made.key_rows = at::tensor(keys.rows, kI64);
  made.query_positions = at::tensor(queries.positions, kI64);
  made.key_positions = at::tensor(keys.positions, kI64);
  made.mask = mask;
  made.result_rows = at::tensor(result_rows, kI64);
  return made;
}

}  // namespace condense
