#include "experiment/run/folder_compression.h"

#include <nlohmann/json.hpp>

#include "experiment/inputs/model_tokenizer.h"
#include "experiment/run/workbench.h"
#include "experiment/spec/spec.h"

namespace condense {
namespace {

std::string Provenance(const FolderCompression& wanted, const CalibrationSet& set) {
  using Json = nlohmann::ordered_json;
  return Json({{"method", Json::parse(wanted.method.method.canonical)},
               {"allocator", Json::parse(wanted.method.allocator.canonical)},
               {"match", EnumName(wanted.method.match)},
               {"ratio", wanted.ratio},
               {"calibration",
                {{"id", set.id},
                 {"hash", set.hash},
                 {"seed", set.seed},
                 {"gram_math", EnumName(wanted.gram_math)}}}})
      .dump();
}

}  // namespace

CompressedFolder CompressFolder(const FolderCompression& wanted) {
  CalibrationSet set =
      wanted.calibration
          ? LoadCalibration(*wanted.calibration, *LoadModelTokenizer(wanted.model), wanted.data)
          : NoCalibration();
  const InferenceScope inference;
  const StoredModel model(wanted.model, wanted.load);
  StatisticsStore statistics(
      model.source(), set,
      {.scratch = wanted.out.string() + ".statistics", .gram_math = wanted.gram_math});
  CheckpointSink sink = model.SinkTo(wanted.out, {.provenance_json = Provenance(wanted, set)});
  CompressionRequest request = wanted.method.Request(wanted.ratio, wanted.seed);
  request.must_remove = true;
  CompressionResult result = Compress(request, statistics, statistics, sink);
  return {std::move(result), std::move(set)};
}

}  // namespace condense
