// Against attention by its definition, in float64, one token and one head at a time.
#include "kernels/packed_attention.h"

#include <gtest/gtest.h>

namespace condense {
namespace {

// Rows that a token sees, in the order of their positions; the last one is its own.
std::vector<int64_t> Seen(const std::vector<TokenRun>& runs, size_t run, int64_t token) {
  std::vector<int64_t> rows;
  if (runs[run].parent >= 0) {
    const auto parent = static_cast<size_t>(runs[run].parent);
    rows = Seen(runs, parent, runs[parent].end - 1);
  }
  for (int64_t t = runs[run].begin; t <= token; ++t) rows.push_back(t);
  return rows;
}

Tensor Turned(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  const auto halves = x.chunk(2, -1);
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1);
}

struct Case {
  std::vector<PackedHead> heads;
  std::vector<TokenRun> runs;
  Tensor q, k, v, cos, sin;
  double scale = 0.3;

  Tensor Expected() const {
    Tensor result;
    for (size_t r = 0; r < runs.size(); ++r) {
      for (int64_t token = runs[r].first_query; token < runs[r].end; ++token) {
        const auto rows = at::tensor(Seen(runs, r, token), kI64);
        const int64_t row = runs[r].query_row + token - runs[r].first_query;
        for (const PackedHead& head : heads) {
          for (int64_t g = 0; g < head.queries; ++g) {
            Tensor query = q[row].narrow(0, head.q + g * head.qk_width, head.qk_width).to(kF64);
            Tensor keys = k.index_select(0, rows).narrow(1, head.k, head.qk_width).to(kF64);
            if (cos.defined()) {
              const auto part = [&](const Tensor& table) {
                return table.narrow(0, 0, rows.size(0))
                    .narrow(1, head.pair, head.qk_width / 2)
                    .to(kF64);
              };
              query = Turned(query, part(cos)[-1], part(sin)[-1]);
              keys = Turned(keys, part(cos), part(sin));
            }
            const Tensor weights = at::softmax(at::matmul(keys, query) * scale, 0);
            const Tensor values = v.index_select(0, rows).narrow(1, head.v, head.vo_width);
            const Tensor mixed = at::matmul(weights, values.to(kF64));
            if (!result.defined()) result = at::zeros({q.size(0), OutWidth()}, kF64);
            result[row].narrow(0, head.out + g * head.vo_width, head.vo_width).copy_(mixed);
          }
        }
      }
    }
    return result;
  }

  int64_t OutWidth() const {
    const PackedHead& last = heads.back();
    return last.out + last.queries * last.vo_width;
  }

  void Check() const {
    const Tensor ours = PackedAttention(q, k, v, heads, scale, runs, cos, sin);
    EXPECT_LT((ours.to(kF64) - Expected()).abs().max().item<double>(), 2e-6);
  }
};

// Heads of {queries, qk width, vo width}; the rotary pairs of each head are its own.
Case MakeCase(const std::vector<std::array<int64_t, 3>>& shapes, std::vector<TokenRun> runs,
              bool rotary) {
  Case made;
  PackedHead next;
  for (const auto& [queries, qk_width, vo_width] : shapes) {
    next.queries = queries, next.qk_width = qk_width, next.vo_width = vo_width;
    made.heads.push_back(next);
    next.q += queries * qk_width, next.k += qk_width, next.v += vo_width;
    next.out += queries * vo_width, next.pair += qk_width / 2;
  }
  int64_t asking = 0, positions = 0;
  for (TokenRun& run : runs) {
    if (run.parent >= 0) {
      const TokenRun& parent = runs[static_cast<size_t>(run.parent)];
      run.position = parent.position + parent.end - parent.begin;
    }
    run.query_row = asking;
    asking += run.end - run.first_query;
    positions = std::max(positions, run.position + run.end - run.begin);
  }
  // Rows wider than what is used, as a projection of several parts would leave them.
  made.q = at::randn({asking, next.q + 3}, kF32).narrow(1, 0, next.q);
  made.k = at::randn({runs.back().end, next.k}, kF32);
  made.v = at::randn({runs.back().end, next.v}, kF32);
  if (rotary) {
    const Tensor angles = at::randn({positions, next.pair}, kF32);
    made.cos = angles.cos(), made.sin = angles.sin();
  }
  made.runs = std::move(runs);
  return made;
}

// Two trees and a sequence alone; one run is longer than a tile, one a single token.
std::vector<TokenRun> Forest() {
  return {{.begin = 0, .end = 45, .first_query = 0},
          {.begin = 45, .end = 46, .parent = 0, .first_query = 45},
          {.begin = 46, .end = 60, .parent = 1, .first_query = 46},
          {.begin = 60, .end = 67, .parent = 1, .first_query = 60},
          {.begin = 67, .end = 69, .parent = 0, .first_query = 67},
          {.begin = 69, .end = 70, .first_query = 69},
          {.begin = 70, .end = 73, .parent = 5, .first_query = 70},
          {.begin = 73, .end = 80, .first_query = 73}};
}

class PackedAttentionTest : public testing::Test {
 protected:
  void SetUp() override { at::manual_seed(7); }
  InferenceScope inference_;
};

TEST_F(PackedAttentionTest, EqualsItsDefinition) {
  MakeCase({{1, 32, 32}, {1, 32, 32}}, Forest(), /*rotary=*/true).Check();
  MakeCase({{1, 8, 8}}, Forest(), /*rotary=*/false).Check();
}

TEST_F(PackedAttentionTest, ServesGroupedAndUnevenHeads) {
  MakeCase({{3, 16, 16}, {3, 16, 16}}, Forest(), /*rotary=*/true).Check();
  MakeCase({{2, 6, 40}, {2, 34, 5}, {1, 2, 1}}, Forest(), /*rotary=*/true).Check();
}

TEST_F(PackedAttentionTest, AnswersTheTokensThatAskAlone) {
  auto runs = Forest();
  runs[0].first_query = 44;
  runs[2].first_query = runs[2].end;
  runs[3].first_query = 62;
  MakeCase({{2, 8, 8}}, std::move(runs), /*rotary=*/true).Check();
}

// Pieces of work begin in the middle of a tree.
TEST_F(PackedAttentionTest, DividesLongForests) {
  std::vector<TokenRun> runs{{.begin = 0, .end = 40, .first_query = 0}};
  for (int64_t r = 1; r < 60; ++r) {
    const int64_t begin = runs.back().end;
    runs.push_back({.begin = begin,
                    .end = begin + 1 + r % 17,
                    .parent = r % 3 == 1 ? 0 : r - 1,
                    .first_query = begin});
  }
  MakeCase({{1, 8, 8}, {1, 8, 8}}, std::move(runs), /*rotary=*/true).Check();
}

TEST_F(PackedAttentionTest, LetsNothingPassThatIsNotFinite) {
  Case made = MakeCase({{1, 8, 8}}, Forest(), /*rotary=*/true);
  made.k[50][3].fill_(std::numeric_limits<float>::quiet_NaN());
  const Tensor finite = at::isfinite(
      PackedAttention(made.q, made.k, made.v, made.heads, made.scale, made.runs, made.cos, made.sin)
          .sum(1));
  const auto see_row_50 = [](int64_t token) { return token >= 50 && token < 60; };
  for (int64_t token = 0; token < 80; ++token) {
    EXPECT_EQ(finite[token].item<bool>(), !see_row_50(token)) << token;
  }
}

}  // namespace
}  // namespace condense
