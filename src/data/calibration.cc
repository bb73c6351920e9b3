#include "data/calibration.h"

#include <algorithm>

#include "base/error.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "config/paths.h"

namespace condense {
namespace {

constexpr std::string_view kTextPrefix = "text:", kIdsPrefix = "ids:";

// The tree that a "text:" request stands for.
Node TextFileTree(const CalibrationRequest& request) {
  return Node::ParseText(
      fmt::format(
          "{{corpus: text, split: all, sampler: random-windows-nn, samples: {}, length: {}}}",
          *request.samples, *request.length),
      request.name);
}

// Fills in what follows from the sequences.
void Seal(CalibrationSet& set, const Tokenizer& tokenizer) {
  for (const auto& sequence : set.sequences) {
    CONDENSE_CHECK(!sequence.empty() && static_cast<int64_t>(sequence.size()) <= set.length,
                   "{} ids", sequence.size());
    set.tokens += static_cast<int64_t>(sequence.size());
    set.short_sequences += static_cast<int64_t>(sequence.size()) < set.length;
  }
  set.hash = CalibrationHash(set.sequences);
  set.tokenizer_digest = tokenizer.digest();
}

CalibrationSet FromTextFile(const CalibrationRequest& request, const std::filesystem::path& path,
                            const Tokenizer& tokenizer) {
  const Corpus corpus = CorpusFromTextFile(path);
  return SampleCalibration(fmt::format("{}-{}x{}", corpus.name, *request.samples, *request.length),
                           TextFileTree(request), corpus, tokenizer, request.seed);
}

CalibrationSet FromIdsFile(const CalibrationRequest& request, const std::filesystem::path& path,
                           const Tokenizer& tokenizer) {
  const int64_t samples = *request.samples, length = *request.length;
  const IdsFile file = ReadIdsFile(path, {request.ids_type, tokenizer.size(), samples * length});
  if (file.columns > 0 && file.columns != length) {
    throw MakeError<DataError>("{}: has rows of {} ids, but sequences of {} were requested",
                               path.string(), file.columns, length);
  }
  if (static_cast<int64_t>(file.ids.size()) < samples * length) {
    throw MakeError<DataError>("{}: {} sequences of {} ids need {} ids, but the file has {}",
                               path.string(), samples, length, samples * length, file.ids.size());
  }
  CalibrationSet set;
  set.id = fmt::format("ids:{}-{}x{}", path.filename().string(), samples, length);
  set.corpus = "ids:" + path.filename().string();
  set.corpus_sha256 = file.sha256;
  set.split = "all";
  set.sampler = "in-order";
  set.sampler_params = "{}";
  set.requested_samples = samples;
  set.length = length;
  for (int64_t i = 0; i < samples; ++i) {
    const auto begin = file.ids.begin() + i * length;
    set.sequences.emplace_back(begin, begin + length);
  }
  set.fraction_used = static_cast<double>(samples * length) / static_cast<double>(file.total);
  Seal(set, tokenizer);
  return set;
}

// The request with its sizes filled in.
CalibrationRequest WithSizes(CalibrationRequest request) {
  request.samples = request.samples.value_or(128);
  request.length = request.length.value_or(256);
  constexpr int64_t kMost = int64_t{1} << 31;
  if (*request.samples < 1 || *request.length < 1 || *request.samples > kMost ||
      *request.length > kMost) {
    throw MakeError<ConfigError>("calibration {}: {} samples of {} ids; expected 1 ... {} of each",
                                 request.name, *request.samples, *request.length, kMost);
  }
  return request;
}

}  // namespace

CalibrationSet SampleCalibration(std::string id, const Node& tree, const Corpus& corpus,
                                 const Tokenizer& tokenizer, std::optional<uint64_t> seed) {
  const std::vector<std::string> own = FieldNames<CalibrationSpec>();
  Problems problems;
  CalibrationSpec spec;
  ReadFields(tree.Only(own), spec, problems);
  problems.ThrowIfAny();
  const auto& entry = Registry<CalibrationSampler>::Instance().Get(spec.sampler);
  CalibrationSet set;
  std::string options;
  const auto sampler = entry.make(tree.Without(own), problems, &options);
  problems.ThrowIfAny();

  set.seed = seed ? *seed : spec.seed.value_or(sampler->default_seed());
  SampledSequences drawn =
      sampler->Sample({corpus, tokenizer, spec.samples, spec.length, set.seed, spec.allow_fewer});
  set.id = std::move(id);
  set.sequences = std::move(drawn.sequences);
  set.fraction_used = drawn.fraction_used;
  set.corpus = corpus.name;
  set.split = corpus.split;
  set.corpus_sha256 = corpus.sha256;
  set.sampler = entry.name;
  set.sampler_params = fmt::format("{{\"version\":{},\"options\":{}}}", entry.version, options);
  set.requested_samples = spec.samples;
  set.length = spec.length;
  Seal(set, tokenizer);
  return set;
}

CalibrationSet LoadCalibration(const CalibrationRequest& request, const Tokenizer& tokenizer,
                               const DataRoots& roots) {
  if (request.name == kTextPrefix || request.name == kIdsPrefix) {
    throw MakeError<ConfigError>("calibration {}: no file is given; expected {}FILE", request.name,
                                 request.name);
  }
  if (StartsWith(request.name, kTextPrefix)) {
    return FromTextFile(WithSizes(request), request.name.substr(kTextPrefix.size()), tokenizer);
  }
  if (StartsWith(request.name, kIdsPrefix)) {
    return FromIdsFile(WithSizes(request), request.name.substr(kIdsPrefix.size()), tokenizer);
  }
  const Node tree = Node::ParseFile(NamedConfig("calibration", request.name));
  if (request.samples || request.length) {
    throw MakeError<ConfigError>(
        "calibration {} has fixed sizes; samples and length are for text:FILE and ids:FILE only",
        request.name);
  }
  const auto spec = ReadStruct<CalibrationSpec>(tree.Only(FieldNames<CalibrationSpec>()));
  return SampleCalibration(request.name, tree, LoadCorpus(spec.corpus, spec.split, roots),
                           tokenizer, request.seed);
}

CalibrationSet LoadCalibration(std::string_view name, const Tokenizer& tokenizer,
                               const DataRoots& roots, std::optional<uint64_t> seed) {
  return LoadCalibration({std::string(name), std::nullopt, std::nullopt, seed}, tokenizer, roots);
}

std::string CalibrationHash(const std::vector<std::vector<TokenId>>& sequences) {
  Sha256 hash;
  hash.Update("condense-calib-1\n").UpdateU32(static_cast<uint32_t>(sequences.size()));
  for (const auto& sequence : sequences) {
    hash.UpdateU32(static_cast<uint32_t>(sequence.size()));
    for (const TokenId id : sequence) hash.UpdateU32(static_cast<uint32_t>(id));
  }
  return hash.Finish();
}

}  // namespace condense
