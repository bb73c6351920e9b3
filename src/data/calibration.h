// Calibration sets: the token sequences that statistics are gathered over (protocols.md 2).
//
// configs/calibration/<name>.yaml defines a set (corpus, split, sampler, sizes, seed); the user may
// also give a file. Holds no tensors; batching and masking are done in calibration/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/fields.h"
#include "data/samplers/sampler.h"
#include "data/text/corpus.h"
#include "data/text/ids_file.h"
#include "tokenizer/tokenizer.h"

namespace condense {

// The fields of configs/calibration/<name>.yaml; its other keys are options of the sampler.
struct CalibrationSpec {
  std::string corpus, split, sampler;
  int64_t samples = 128, length = 2048;
  std::optional<uint64_t> seed;
  bool allow_fewer = false;

  template <class V>
  void Fields(V&& field) {
    field("corpus", corpus, "text, by its name in configs/corpora", Required{}, NonEmpty{});
    field("split", split, "part of the corpus", Required{}, NonEmpty{});
    field("sampler", sampler, "how sequences are sampled", Required{}, NonEmpty{});
    field("samples", samples, "number of sequences", Required{}, Range::AtLeast(1));
    field("length", length, "ids per sequence", Required{}, Range::AtLeast(1));
    field("seed", seed, "seed of the sampler; absent: the sampler's own");
    field("allow_fewer", allow_fewer, "accept fewer sequences where the corpus is too small");
  }
};

struct CalibrationSet {
  std::string id;  // "wikitext2-128x2048", "text:notes.txt-128x256"
  std::vector<std::vector<TokenId>> sequences;
  std::string hash;  // of the ids, protocols.md 2.1

  std::string corpus, split, corpus_sha256;
  std::string sampler, sampler_params;  // params: canonical JSON with the version of the sampler
  uint64_t seed = 0;
  int64_t requested_samples = 0, length = 0;
  std::string tokenizer_digest;
  int64_t tokens = 0;           // without padding
  int64_t short_sequences = 0;  // shorter than `length`
  double fraction_used = 0;     // of the corpus
};

// What the user asks for: the NAME of a set, which fixes its sizes, "text:FILE" (random-windows-nn
// over the file) or "ids:FILE" (the first samples x length ids, in order).
struct CalibrationRequest {
  std::string name;
  std::optional<int64_t> samples, length;  // 128 and 256 unless given; refused with a NAME
  std::optional<uint64_t> seed;            // instead of the default one
  IdsType ids_type = IdsType::kUint16;
};

// ConfigError for a wrong request, DataError for files that are missing, malformed or too small.
CalibrationSet LoadCalibration(const CalibrationRequest& request, const Tokenizer& tokenizer,
                               const DataRoots& roots);
CalibrationSet LoadCalibration(std::string_view name, const Tokenizer& tokenizer,
                               const DataRoots& roots, std::optional<uint64_t> seed = std::nullopt);

// `tree`: the content of a calibration file, the sampler's options included.
CalibrationSet SampleCalibration(std::string id, const Node& tree, const Corpus& corpus,
                                 const Tokenizer& tokenizer, std::optional<uint64_t> seed);

// SHA-256 over "condense-calib-1\n", the number of sequences, and for each its length and ids,
// all as little-endian 32-bit integers (protocols.md 2.1).
std::string CalibrationHash(const std::vector<std::vector<TokenId>>& sequences);

}  // namespace condense
