#include "tensor/gram_sum.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "tensor/linalg.h"

namespace condense {
namespace {

// Rows of a product in float32. Its rounding grows with their number, the cost of adding it to the
// total falls with it.
constexpr int64_t kTileRows = 2048;
constexpr double kMassive = 30;  // times the median norm

// Wide panels keep the product efficient; narrow ones compute less below the diagonal.
int64_t PanelWidth(int64_t p) { return std::clamp<int64_t>(p / 8, 64, 512); }
int64_t TilePanelWidth(int64_t p) { return std::clamp<int64_t>((p + 5) / 6, 96, 1024); }

// Calls fn(begin, width) for each panel of columns.
template <class F>
void ForEachPanel(int64_t p, int64_t panel, F fn) {
  for (int64_t begin = 0; begin < p; begin += panel) fn(begin, std::min(panel, p - begin));
}

// A panel of the upper triangle: rows [begin, begin + width), columns from `begin` on.
Tensor Panel(const Tensor& sum, int64_t begin, int64_t width) {
  return sum.narrow(0, begin, width).narrow(1, begin, sum.size(1) - begin);
}

bool InTiles(GramMath math, const ActivationRows& rows) {
  return math == GramMath::kFloat32 && rows.given().scalar_type() != kF64;
}

// Cuts tensors with equally many rows into tiles. Calls tile() with float32 rows, those that are
// massive in any of the tensors set to zero, and wide() with the massive ones.
template <size_t kSides, class Tile, class Wide>
void ForEachTile(const std::array<Tensor, kSides>& sides, Tile tile, Wide wide) {
  const int64_t rows = sides.front().size(0);
  for (int64_t begin = 0; begin < rows; begin += kTileRows) {
    std::array<Tensor, kSides> parts, apart;
    Tensor massive;
    for (size_t i = 0; i < kSides; ++i) {
      parts[i] = sides[i].narrow(0, begin, std::min(kTileRows, rows - begin)).to(kF32).contiguous();
      const Tensor own = MassiveRows(parts[i]);
      if (own.defined()) massive = massive.defined() ? massive.logical_or(own) : own;
    }
    if (massive.defined()) {
      const Tensor places = at::nonzero(massive).squeeze(1);
      for (size_t i = 0; i < kSides; ++i) {
        apart[i] = parts[i].index_select(0, places).to(kF64);
        parts[i] = parts[i].masked_fill(massive.unsqueeze(1), 0);
      }
      std::apply(wide, apart);
    }
    std::apply(tile, parts);
  }
}

// Copies the upper triangle to the lower one, panel by panel: no second matrix is made.
void MirrorUpper(Tensor& sum) {
  const int64_t p = sum.size(0);
  ForEachPanel(p, PanelWidth(p), [&](int64_t begin, int64_t width) {
    const int64_t end = begin + width;
    const Tensor square = sum.narrow(0, begin, width).narrow(1, begin, width);
    const Tensor upper = square.triu();
    square.copy_(upper + upper.triu(1).t());
    sum.narrow(0, end, p - end)
        .narrow(1, begin, width)
        .copy_(sum.narrow(0, begin, width).narrow(1, end, p - end).t());
  });
}

}  // namespace

const Tensor& ActivationRows::wide() const {
  if (!wide_.defined()) wide_ = rows_.to(kF64);
  return wide_;
}

Tensor MassiveRows(const Tensor& rows) {
  const Tensor norms = at::linalg_vector_norm(rows, 2, {1});
  const double largest = norms.max().item<double>(), median = norms.median().item<double>();
  // Written so that values that are not finite go to float64 as well, whose sum reports them.
  if (largest <= kMassive * median || largest == 0) return {};
  return (norms <= kMassive * median).logical_not_();
}

void GramSum::AddWide(const Tensor& rows) {
  const int64_t p = rows.size(1);
  ForEachPanel(p, PanelWidth(p), [&](int64_t begin, int64_t width) {
    Panel(sum_, begin, width)
        .addmm_(rows.narrow(1, begin, width).t(), rows.narrow(1, begin, p - begin));
  });
}

void GramSum::AddTile(const Tensor& rows) {
  const int64_t p = rows.size(1);
  ForEachPanel(p, TilePanelWidth(p), [&](int64_t begin, int64_t width) {
    const Tensor product =
        at::mm(rows.narrow(1, begin, width).t(), rows.narrow(1, begin, p - begin));
    Panel(sum_, begin, width).add_(product.to(kF64));
  });
}

void GramSum::Add(const ActivationRows& rows) {
  const int64_t p = rows.width();
  if (!sum_.defined()) sum_ = at::zeros({p, p}, rows.given().options().dtype(kF64));
  if (!InTiles(math_, rows)) return AddWide(rows.wide());
  ForEachTile<1>(
      {rows.given()}, [&](const Tensor& tile) { AddTile(tile); },
      [&](const Tensor& massive) { AddWide(massive); });
}

void GramSum::Merge(const GramSum& other) { sum_ += other.sum_; }

Tensor GramSum::Take() {
  if (sum_.defined()) MirrorUpper(sum_);
  return std::move(sum_);
}

void ProductSum::Add(const Tensor& left, const Tensor& right) {
  if (!sum_.defined()) {
    sum_ = at::zeros({left.size(1), right.size(1)}, left.options().dtype(kF64));
  }
  const auto add_wide = [&](const Tensor& x, const Tensor& y) {
    sum_.addmm_(x.to(kF64).t(), y.to(kF64));
  };
  if (math_ == GramMath::kFloat64 || left.scalar_type() == kF64 || right.scalar_type() == kF64) {
    return add_wide(left, right);
  }
  ForEachTile<2>(
      {left, right},
      [&](const Tensor& x, const Tensor& y) { sum_.add_(at::mm(x.t(), y).to(kF64)); }, add_wide);
}

void HeadGramSum::Add(const ActivationRows& rows) {
  const int64_t width = rows.width() / heads_;
  const auto heads = [&](const Tensor& x) {
    return x.view({-1, heads_, width}).transpose(0, 1);  // [heads, n, w]
  };
  if (!sum_.defined()) {
    sum_ = at::zeros({heads_, width, width}, rows.given().options().dtype(kF64));
  }
  const auto add_wide = [&](const Tensor& x) { sum_.baddbmm_(heads(x).transpose(1, 2), heads(x)); };
  if (!InTiles(math_, rows)) return add_wide(rows.wide());
  ForEachTile<1>(
      {rows.given()},
      [&](const Tensor& x) { sum_.add_(at::bmm(heads(x).transpose(1, 2), heads(x)).to(kF64)); },
      add_wide);
}

void HeadGramSum::Merge(const HeadGramSum& other) { sum_ += other.sum_; }

Tensor HeadGramSum::Take() { return Symmetrised(std::exchange(sum_, {})); }

}  // namespace condense
