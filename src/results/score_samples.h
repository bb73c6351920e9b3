// The scores of a task's documents as sample arrays, packed one array a column (protocols.md 3.7),
// and back.
#pragma once

#include <span>
#include <vector>

#include "results/records.h"
#include "stats/task_scores.h"

namespace condense {

std::vector<SampleRecord> PackDocuments(std::string_view protocol, std::string_view task,
                                        std::span<const DocumentScore> documents);
// DataError when arrays are missing or do not fit each other.
std::vector<DocumentScore> UnpackDocuments(const std::vector<SampleRecord>& records);

}  // namespace condense
