// The scores of a task's documents as sample arrays, packed one array a column (protocols.md 3.7),
// and back, bit for bit. What a document's choices have is written choice after choice, document
// after document; "choices" says how many each document has.
//
//   document_index, gold, choices            a number for each document
//   document_sha256                          32 bytes for each document
//   truncated                                0 or 1 for each document
//   log_likelihood, tokens, code_points, bytes, greedy   a number for each choice
//
// What a metric predicts is not stored: Prediction() says it.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "results/records.h"
#include "stats/task_scores.h"

namespace condense {

std::vector<SampleRecord> PackDocuments(std::string_view protocol, std::string_view task,
                                        std::span<const DocumentScore> documents);
// Arrays of other names are passed over. DataError when arrays are missing, do not fit each other
// or are of several tasks.
std::vector<DocumentScore> UnpackDocuments(const std::vector<SampleRecord>& records);

// The same with what TaskScores says of the whole task, as "requests_sha256" (32 bytes) and
// "fixed_choices" (0 or 1), so that statistics need nothing else.
std::vector<SampleRecord> PackScores(const TaskScores& scores);
TaskScores UnpackScores(const std::vector<SampleRecord>& records);
// Whether they are scores of a task, and not losses of windows, calibration ids, ...
bool HoldsScores(const std::vector<SampleRecord>& records);

}  // namespace condense
