// Finds the file of a task and checks its kind.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "data/tasks/task_definition.h"

namespace condense {

// Tries each name in each folder and in its subfolder tasks/. DataError that lists the names and
// folders tried; if only a Parquet file is found, it says how to convert it.
std::filesystem::path FindTaskFile(const TaskSpec& spec, std::string_view task,
                                   const DataRoots& roots);

// The file, in the folder of `file`, that holds the right choices of a form with gold_file.
std::filesystem::path LabelFile(const TaskForm& form, const std::filesystem::path& file);

// The file of a task and its files of labels: everything that scores depend on.
std::vector<std::filesystem::path> TaskFiles(const TaskSpec& spec, std::string_view task,
                                             const DataRoots& roots);

// DataError, with what to do, for bytes that cannot be records: Parquet, archives, a Git LFS
// pointer, an empty file.
void RequireRecordsFile(std::string_view bytes, const std::filesystem::path& path);

}  // namespace condense
