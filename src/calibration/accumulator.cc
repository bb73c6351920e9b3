#include "calibration/accumulator.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace condense {
namespace {

// A sum of products of rows: GramSum or HeadGramSum.
template <class Sum>
class ProductAccumulator final : public Accumulator {
 public:
  explicit ProductAccumulator(Sum sum) : sum_(std::move(sum)) {}
  void Add(const ActivationRows& rows) override { sum_.Add(rows); }
  void Merge(const Accumulator& other) override {
    sum_.Merge(dynamic_cast<const ProductAccumulator&>(other).sum_);
  }
  Tensor Finish(int64_t) override { return sum_.Take().cpu(); }

 private:
  Sum sum_;
};

// Mean over tokens of a function of each entry.
template <class Function>
class MeanAccumulator final : public Accumulator {
 public:
  void Add(const ActivationRows& rows) override {
    const Tensor part = Function()(rows.wide()).sum(0);
    sum_ = sum_.defined() ? sum_ + part : part;
  }
  void Merge(const Accumulator& other) override {
    sum_ = sum_ + dynamic_cast<const MeanAccumulator&>(other).sum_;
  }
  Tensor Finish(int64_t tokens) override { return (sum_ / static_cast<double>(tokens)).cpu(); }

 private:
  Tensor sum_;
};

struct Identity {
  Tensor operator()(const Tensor& x) const { return x; }
};
struct Square {
  Tensor operator()(const Tensor& x) const { return x.square(); }
};
struct Absolute {
  Tensor operator()(const Tensor& x) const { return x.abs(); }
};

}  // namespace

const char* StatKindName(StatKind kind) {
  switch (kind) {
    case StatKind::kGram:
      return "gram";
    case StatKind::kHeadGram:
      return "head_gram";
    case StatKind::kMean:
      return "mean";
    case StatKind::kSecondMoment:
      return "second_moment";
    case StatKind::kMeanAbs:
      return "mean_abs";
    case StatKind::kCosine:
      return "influence";
    case StatKind::kAngle:
      return "angle";
    case StatKind::kPairMetric:
      return "pair_metric";
    case StatKind::kKeyCovariance:
      return "key_covariance";
  }
  return "?";
}

std::unique_ptr<Accumulator> MakeAccumulator(StatKind kind, const std::vector<int64_t>& head_widths,
                                             GramMath math) {
  switch (kind) {
    case StatKind::kGram:
      return std::make_unique<ProductAccumulator<GramSum>>(GramSum(math));
    case StatKind::kHeadGram:
      CONDENSE_CHECK(
          !head_widths.empty() && std::all_of(head_widths.begin(), head_widths.end(),
                                              [&](int64_t w) { return w == head_widths.front(); }),
          "head Gram matrices need heads of equal width");
      return std::make_unique<ProductAccumulator<HeadGramSum>>(
          HeadGramSum(static_cast<int64_t>(head_widths.size()), math));
    case StatKind::kMean:
      return std::make_unique<MeanAccumulator<Identity>>();
    case StatKind::kSecondMoment:
      return std::make_unique<MeanAccumulator<Square>>();
    case StatKind::kMeanAbs:
      return std::make_unique<MeanAccumulator<Absolute>>();
    case StatKind::kCosine:
    case StatKind::kAngle:
    case StatKind::kPairMetric:
    case StatKind::kKeyCovariance:
      break;
  }
  CONDENSE_CHECK(false, "'{}' looks at more than the rows of one tap", StatKindName(kind));
  return nullptr;
}

}  // namespace condense
