// The model as it is: the row that everything else is compared with.
#include "compression/compressor.h"
#include "config/registry.h"

namespace condense {
namespace {

class DenseModel final : public Compressor {
 public:
  bool UsesRatio() const override { return false; }
  bool UsesCalibration() const override { return false; }
  Plan MakePlan(const PlanContext& context, double) const override { return {context.dense(), {}}; }
  void Compress(CompressionJob&) const override {
    CONDENSE_CHECK(false, "the framework copies a model from which nothing is removed");
  }
};

CONDENSE_REGISTER(Compressor, DenseModel, "dense", 1, "the uncompressed model");

}  // namespace
}  // namespace condense
