// Where the file of a task lies, and what kind of file it is.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "data/tasks/task_definition.h"

namespace condense {

// Looks for each name in each folder and in its subfolder tasks/. DataError that says which names
// were looked for and where; where only a Parquet file is found, how to convert it.
std::filesystem::path FindTaskFile(const TaskSpec& spec, std::string_view task,
                                   const DataRoots& roots);

// Where a form that takes its right choices from another file has that file, beside `file`.
std::filesystem::path LabelFile(const TaskForm& form, const std::filesystem::path& file);

// The file of a task and the files of labels that lie beside it: everything that scores depend on.
std::vector<std::filesystem::path> TaskFiles(const TaskSpec& spec, std::string_view task,
                                             const DataRoots& roots);

// DataError, with what to do, for bytes that cannot be records: Parquet, archives, a stand-in for a
// file that git has not fetched, nothing at all.
void RequireRecordsFile(std::string_view bytes, const std::filesystem::path& path);

}  // namespace condense
