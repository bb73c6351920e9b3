#include "kernels/packed_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "kernels/parallel_loops.h"
#include "kernels/vector_math.h"

namespace condense {
namespace {

// A tile of a product: what the registers of the widest vectors hold.
constexpr int64_t kRows = 8, kLanes = 32;
// Queries that one thread should have at least: below, sharing the work costs more than it saves.
constexpr int64_t kChunkTokens = 256;

constexpr float kLowest = -std::numeric_limits<float>::infinity();

int64_t RoundUp(int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

struct Matrix {
  const float* data = nullptr;
  int64_t stride = 0;
  const float* Row(int64_t row) const { return data + row * stride; }
};

struct Operands {
  Matrix q, k, v, cos, sin;
  float* out = nullptr;
  int64_t out_stride = 0;
  float scale = 1;
  std::span<const TokenRun> runs;
};

// What a thread works in, for one head at a time.
struct Scratch {
  Scratch(int64_t positions, int64_t qk_width, int64_t vo_width)
      : columns(RoundUp(positions)),
        value_width(RoundUp(vo_width)),
        keys(static_cast<size_t>(qk_width * columns)),
        values(static_cast<size_t>(columns * value_width)),
        queries(static_cast<size_t>(kRows * qk_width)),
        scores(static_cast<size_t>(kRows * columns)),
        mixed(static_cast<size_t>(kRows * value_width)) {}
  int64_t columns, value_width;
  std::vector<float> keys;     // [qk_width, columns]: of the present path, by position
  std::vector<float> values;   // [columns, value_width]
  std::vector<float> queries;  // [kRows, qk_width]
  std::vector<float> scores;   // [kRows, columns]
  std::vector<float> mixed;    // [kRows, value_width]
};

// out[i][j] = sum_c a[i][c] b[c][j] for a tile of out.
CONDENSE_INLINE void MultiplyTile(const float* __restrict a, int64_t a_stride,
                                  const float* __restrict b, int64_t b_stride, int64_t depth,
                                  float* __restrict out, int64_t out_stride) {
  float sum[kRows][kLanes];
  for (int64_t i = 0; i < kRows; ++i) {
    for (int64_t j = 0; j < kLanes; ++j) sum[i][j] = 0;
  }
  for (int64_t c = 0; c < depth; ++c) {
    for (int64_t i = 0; i < kRows; ++i) {
      const float factor = a[i * a_stride + c];
      for (int64_t j = 0; j < kLanes; ++j) sum[i][j] += factor * b[c * b_stride + j];
    }
  }
  for (int64_t i = 0; i < kRows; ++i) {
    for (int64_t j = 0; j < kLanes; ++j) out[i * out_stride + j] = sum[i][j];
  }
}

// Coordinate p turns with p + pairs.
CONDENSE_INLINE void Rotate(const float* __restrict x, const float* __restrict cos,
                            const float* __restrict sin, int64_t pairs, float factor,
                            float* __restrict out) {
  for (int64_t p = 0; p < pairs; ++p) {
    out[p] = (x[p] * cos[p] - x[pairs + p] * sin[p]) * factor;
    out[pairs + p] = (x[pairs + p] * cos[p] + x[p] * sin[p]) * factor;
  }
}

// One head's row of queries or keys as scores want it.
CONDENSE_INLINE void Prepare(const Operands& o, const PackedHead& head, const float* row,
                             int64_t position, float factor, float* __restrict out) {
  if (o.cos.data != nullptr) {
    Rotate(row, o.cos.Row(position) + head.pair, o.sin.Row(position) + head.pair, head.qk_width / 2,
           factor, out);
  } else {
    for (int64_t c = 0; c < head.qk_width; ++c) out[c] = row[c] * factor;
  }
}

// Writes keys and values of a run to their positions.
CONDENSE_INLINE void Enter(const Operands& o, const PackedHead& head, const TokenRun& run,
                           Scratch& scratch) {
  const int64_t width = head.qk_width;
  float* prepared = scratch.queries.data();  // free until the run's queries are prepared
  for (int64_t first = run.begin; first < run.end; first += kRows) {
    const int64_t count = std::min(kRows, run.end - first);
    const int64_t position = run.position + first - run.begin;
    for (int64_t i = 0; i < count; ++i) {
      Prepare(o, head, o.k.Row(first + i) + head.k, position + i, 1.0f, prepared + i * width);
      const float* from = o.v.Row(first + i) + head.v;
      std::copy(from, from + head.vo_width,
                scratch.values.data() + (position + i) * scratch.value_width);
    }
    for (int64_t c = 0; c < width; ++c) {
      float* to = scratch.keys.data() + c * scratch.columns + position;
      for (int64_t i = 0; i < count; ++i) to[i] = prepared[i * width + c];
    }
  }
}

// Of the first `count` scores. Here and below `whole` is `count` or more, in full tiles: lanes that
// do not count are computed along.
CONDENSE_INLINE float Largest(const float* __restrict scores, int32_t count, int32_t whole) {
  float lanes[kLanes];
  for (int32_t lane = 0; lane < kLanes; ++lane) lanes[lane] = kLowest;
  for (int32_t j = 0; j < whole; j += kLanes) {
    for (int32_t lane = 0; lane < kLanes; ++lane) {
      const float score = lane < count - j ? scores[j + lane] : kLowest;
      lanes[lane] = lanes[lane] < score ? score : lanes[lane];
    }
  }
  float largest = kLowest;
#pragma omp simd reduction(max : largest)
  for (int32_t lane = 0; lane < kLanes; ++lane) {
    largest = largest < lanes[lane] ? lanes[lane] : largest;
  }
  return largest;
}

// Turns the first `count` scores into weights, the rest of the tiles into zeros; returns the sum of
// the weights, by which they are not yet divided.
CONDENSE_INLINE float Weigh(float* __restrict scores, float largest, int32_t count, int32_t whole) {
  float lanes[kLanes];
  for (int32_t lane = 0; lane < kLanes; ++lane) lanes[lane] = 0;
  for (int32_t j = 0; j < whole; j += kLanes) {
    for (int32_t lane = 0; lane < kLanes; ++lane) {
      const float weight = ExpOfNegative(scores[j + lane] - largest);
      const float kept = lane < count - j ? weight : 0.0f;
      scores[j + lane] = kept;
      lanes[lane] += kept;
    }
  }
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int32_t lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

// Up to kRows queries of a run and of one query head, from token `first` on.
CONDENSE_INLINE void Attend(const Operands& o, const PackedHead& head, int64_t query_head,
                            const TokenRun& run, int64_t first, Scratch& scratch) {
  const int64_t count = std::min(kRows, run.end - first);
  const int64_t position = run.position + first - run.begin;
  const int64_t row = run.query_row + first - run.first_query;
  const int64_t seen = position + count;  // by the last query of the tile
  float* scores = scratch.scores.data();
  for (int64_t i = 0; i < count; ++i) {
    Prepare(o, head, o.q.Row(row + i) + head.q + query_head * head.qk_width, position + i, o.scale,
            scratch.queries.data() + i * head.qk_width);
  }
  for (int64_t j = 0; j < seen; j += kLanes) {
    MultiplyTile(scratch.queries.data(), head.qk_width, scratch.keys.data() + j, scratch.columns,
                 head.qk_width, scores + j, scratch.columns);
  }
  // Step by step for all rows: what one row waits for, the next has ready.
  const auto whole = static_cast<int32_t>(RoundUp(seen)),
             first_seen = static_cast<int32_t>(position);
  float inverse[kRows];
  for (int32_t i = 0; i < count; ++i) {
    inverse[i] = Largest(scores + i * scratch.columns, first_seen + i + 1, whole);
  }
  for (int32_t i = 0; i < count; ++i) {
    inverse[i] = Weigh(scores + i * scratch.columns, inverse[i], first_seen + i + 1, whole);
  }
  for (int64_t i = 0; i < count; ++i) inverse[i] = 1.0f / inverse[i];
  for (int64_t j = 0; j < head.vo_width; j += kLanes) {
    MultiplyTile(scores, scratch.columns, scratch.values.data() + j, scratch.value_width, seen,
                 scratch.mixed.data() + j, scratch.value_width);
  }
  for (int64_t i = 0; i < count; ++i) {
    const float* from = scratch.mixed.data() + i * scratch.value_width;
    float* to = o.out + (row + i) * o.out_stride + head.out + query_head * head.vo_width;
    for (int64_t c = 0; c < head.vo_width; ++c) to[c] = from[c] * inverse[i];
  }
}

// Runs [first, last) of one key/value head.
CONDENSE_WIDE_VECTORS
void AttendRuns(const Operands& o, const PackedHead& head, int64_t first, int64_t last,
                Scratch& scratch) {
  for (int64_t r = o.runs[first].parent; r >= 0; r = o.runs[r].parent) {
    Enter(o, head, o.runs[r], scratch);
  }
  for (int64_t r = first; r < last; ++r) {
    const TokenRun& run = o.runs[r];
    Enter(o, head, run, scratch);
    for (int64_t query_head = 0; query_head < head.queries; ++query_head) {
      for (int64_t token = run.first_query; token < run.end; token += kRows) {
        Attend(o, head, query_head, run, token, scratch);
      }
    }
  }
}

// Boundaries of pieces of neighbouring runs that may be worked on at the same time.
std::vector<int64_t> Chunks(std::span<const TokenRun> runs) {
  std::vector<int64_t> bounds{0};
  int64_t tokens = 0;
  for (int64_t r = 0; r < static_cast<int64_t>(runs.size()); ++r) {
    if (tokens >= kChunkTokens) bounds.push_back(r), tokens = 0;
    tokens += runs[r].end - runs[r].begin;
  }
  bounds.push_back(static_cast<int64_t>(runs.size()));
  return bounds;
}

Matrix Rows(const Tensor& x) {
  CONDENSE_CHECK(x.dim() == 2 && x.stride(1) == 1 && x.scalar_type() == kF32 && x.is_cpu(),
                 "rows {} of {}", ShapeString(x.sizes()), DTypeName(x.scalar_type()));
  return {.data = x.const_data_ptr<float>(), .stride = x.stride(0)};
}

}  // namespace

Tensor PackedAttention(const Tensor& q, const Tensor& k, const Tensor& v,
                       std::span<const PackedHead> heads, double scale,
                       std::span<const TokenRun> runs, const Tensor& cos, const Tensor& sin) {
  int64_t positions = 0, qk_width = 0, vo_width = 0, out_width = 0;
  for (const TokenRun& run : runs) {
    positions = std::max(positions, run.position + run.end - run.begin);
  }
  for (const PackedHead& head : heads) {
    qk_width = std::max(qk_width, head.qk_width);
    vo_width = std::max(vo_width, head.vo_width);
    out_width = std::max(out_width, head.out + head.queries * head.vo_width);
  }
  Tensor result = at::empty({q.size(0), out_width}, q.options());
  Operands o{.q = Rows(q), .k = Rows(k), .v = Rows(v), .cos = {}, .sin = {}};
  if (cos.defined()) {
    CONDENSE_CHECK(cos.size(0) >= positions, "{} positions, {} rotations", positions, cos.size(0));
    o.cos = Rows(cos), o.sin = Rows(sin);
  }
  o.out = result.mutable_data_ptr<float>();
  o.out_stride = out_width;
  o.scale = static_cast<float>(scale);
  o.runs = runs;
  const std::vector<int64_t> bounds = Chunks(runs);
  const auto chunks = static_cast<int64_t>(bounds.size()) - 1;
  const auto count = static_cast<int64_t>(heads.size());
  at::parallel_for(0, chunks * count, 1, [&](int64_t begin, int64_t end) {
    Scratch scratch(positions, qk_width, vo_width);
    for (int64_t i = begin; i < end; ++i) {
      const auto chunk = static_cast<size_t>(i / count);
      AttendRuns(o, heads[static_cast<size_t>(i % count)], bounds[chunk], bounds[chunk + 1],
                 scratch);
    }
  });
  return result;
}

}  // namespace condense
