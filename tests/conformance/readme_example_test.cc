// The method that README shows as an example: it compiles, keeps the promises of every method
// (methods_test.cc, which picks it up by itself), and is what README prints.
#include <gtest/gtest.h>

#include "base/file.h"
#include "compression/compressor.h"
#include "compression/solvers/indices.h"
#include "config/registry.h"

namespace condense {
namespace {

// --- README, "Adding a method"
// Keeps the MLP channels of largest second moment. Nothing is refitted.
class TopColumns final : public Compressor {
 public:
  bool UsesAllocator() const override { return true; }

  Plan MakePlan(const PlanContext& context, double nominal) const override {
    Allocation allocation = context.Allocate(nominal);
    for (ModuleSparsity& layer : allocation) layer.qk = layer.vo = 0;
    return {NarrowedConfig(context.dense(), allocation, {}), allocation};
  }

  void Compress(CompressionJob& job) const override {
    const StatRequest energy = SecondMoment(Tap::kMlpHidden);  // [d_int]
    job.ForEachBlock({.requests = {energy}}, [&](BlockTask& task) {
      const Indices kept = LargestIndices(task.stats->Get(energy), task.plan.mlp_width);
      task.block.mlp.KeepChannels(IndexTensor(kept));
      task.report->modules["mlp"] = {.widths = {task.plan.mlp_width}, .kept = kept};
    });
  }
};

CONDENSE_REGISTER(Compressor, TopColumns, "top_columns", /*version=*/1,
                  "keeps the MLP channels of largest energy");
// --- README

std::string Between(const std::string& text, const std::string& begin, const std::string& end) {
  const size_t from = text.find(begin);
  if (from == std::string::npos) return "no " + begin;
  const size_t to = text.find(end, from + begin.size());
  return text.substr(from + begin.size(), to - from - begin.size());
}

TEST(Readme, ShowsTheExampleThatIsCompiledHere) {
  const std::filesystem::path root = CONDENSE_SOURCE_DIR;
  const std::string here = ReadFile(root / "tests/conformance/readme_example_test.cc");
  const std::string compiled =
      Between(here, "// --- README, \"Adding a method\"\n", "// --- README\n");
  EXPECT_EQ(Between(ReadFile(root / "README.md"), "```cpp\n", "```\n"), compiled);
}

}  // namespace
}  // namespace condense
