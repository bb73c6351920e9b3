// Published values (configs/published), shown beside ours. Nothing is computed from them.
//
// A published value belongs to one of our cells if model, method, ratio, kind of ratio, metric and
// calibration agree; a value of an ablation if the cell names it (key `published_as`). Whether the
// two are compared depends on the protocol: a value of another protocol is never printed, and one
// whose source states no protocol is printed but not compared (protocols.md 0.1). Values of
// confidence `weak` are ignored.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "report/tables/table.h"

namespace condense {

struct PublishedValue {
  std::string place;            // "zero_shot.csv:12"
  std::string source;           // "modegpt, table 3"
  std::string model, method;    // as named here: svd_llm, slicegpt+rft
  std::optional<double> ratio;  // none for dense, or where the source gives none
  std::string ratio_kind;       // block-params, slice, ...; none for dense; empty: all
  std::string metric, task;     // of a mean: "mean" and its id
  std::string protocol, calibration;
  std::string ablation;         // "allocation: uniform"; empty: the method as it is
  std::string hardware;         // of times, which compare on the same machine alone
  bool relative = false;        // to the dense model
  std::optional<double> value;  // as we store it, accuracies as fractions; none: overflow
  bool recalled = false;        // from memory, not read
  std::string note;
};

// The largest difference from a published value that counts as reproduced (protocols.md 9):
// relative x published + absolute, in printed units. An empty field fits everything; the first
// entry that fits applies.
struct Tolerance {
  std::string model, method, metric, task, protocol, calibration;
  std::optional<double> ratio;
  double relative = 0, absolute = 0;
};

struct PublishedData {
  std::vector<PublishedValue> values;
  std::vector<Tolerance> tolerances;
};

// perplexity.csv, zero_shot.csv, ablations.csv, compression_cost.csv (whole times), throughput.csv
// (parameters and multiplications) and tolerances.csv of a folder. DataError with file and line.
PublishedData ReadPublished(const std::filesystem::path& folder);

// One row per published value that belongs to a cell of `table`, which was built from
// `measurements`: ours, published, difference, verdict. No rows if there are none.
Table PublishedTable(const Table& table, const std::vector<Measurement>& measurements,
                     const PublishedData& published);

}  // namespace condense
