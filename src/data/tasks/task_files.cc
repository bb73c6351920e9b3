#include "data/tasks/task_files.h"

#include <optional>
#include <system_error>

#include "base/error.h"
#include "base/strings.h"

namespace condense {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kParquet = ".parquet";

bool IsFile(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

std::vector<fs::path> Folders(const TaskSpec& spec, const DataRoots& roots) {
  std::vector<fs::path> folders;
  const bool bundled = spec.location == CorpusLocation::kBundled;
  for (const fs::path& root : bundled ? std::vector{roots.bundled} : roots.folders) {
    folders.push_back(root);
    folders.push_back(root / "tasks");
  }
  return folders;
}

DataError ParquetError(const fs::path& parquet, const fs::path& converted) {
  return MakeError<DataError>(
      "{}: Parquet files are not read; convert it once with\n  python3 "
      "scripts/parquet_to_jsonl.py '{}' '{}'\n(the script needs pyarrow: python3 -m pip install "
      "pyarrow)",
      parquet.string(), parquet.string(), converted.string());
}

// A name under which the converted file is found: the first that is not of a Parquet file.
std::string FirstName(const TaskSpec& spec) {
  for (const std::string& name : spec.files) {
    if (!EndsWith(name, kParquet)) return name;
  }
  return fs::path(spec.files.front()).replace_extension(".jsonl").string();
}

}  // namespace

fs::path FindTaskFile(const TaskSpec& spec, std::string_view task, const DataRoots& roots) {
  const std::vector<fs::path> folders = Folders(spec, roots);
  std::optional<DataError> parquet;
  std::vector<std::string> places;
  for (const fs::path& folder : folders) {
    places.push_back(folder.string());
    for (const std::string& name : spec.files) {
      const fs::path path = folder / name;
      if (!EndsWith(name, kParquet) && IsFile(path)) return path;
      const fs::path other = fs::path(path).replace_extension(kParquet);
      if (!parquet && IsFile(other)) parquet = ParquetError(other, folder / FirstName(spec));
    }
  }
  if (parquet) throw *parquet;
  if (folders.empty()) {
    throw MakeError<DataError>(
        "task {}: no data folder was named; give the folder that holds {} with --data DIR", task,
        FirstName(spec));
  }
  throw MakeError<DataError>(
      "task {}: its file is missing; looked for\n  {}\nin the folders\n  {}\n{}", task,
      Join(spec.files, ", "), Join(places, "\n  "),
      spec.location == CorpusLocation::kBundled
          ? "it ships with the program: is the installation complete?"
          : "put it in one of them under one of these names, or name its folder with --data DIR");
}

std::filesystem::path LabelFile(const TaskForm& form, const std::filesystem::path& file) {
  std::string name = form.gold_file;
  constexpr std::string_view kStem = "{stem}";
  if (const size_t at = name.find(kStem); at != name.npos) {
    name.replace(at, kStem.size(), file.stem().string());
  }
  return file.parent_path() / name;
}

std::vector<std::filesystem::path> TaskFiles(const TaskSpec& spec, std::string_view task,
                                             const DataRoots& roots) {
  std::vector<std::filesystem::path> files = {FindTaskFile(spec, task, roots)};
  for (const TaskForm& form : spec.forms) {
    if (form.gold_file.empty()) continue;
    const std::filesystem::path labels = LabelFile(form, files.front());
    std::error_code ignored;
    if (std::filesystem::is_regular_file(labels, ignored)) files.push_back(labels);
  }
  return files;
}

void RequireRecordsFile(std::string_view bytes, const fs::path& path) {
  if (StartsWith(bytes, "PAR1")) {
    throw ParquetError(path, fs::path(path).replace_extension(".jsonl"));
  }
  if (StartsWith(bytes, "\x1F\x8B") || StartsWith(bytes, "PK\x03\x04")) {
    throw MakeError<DataError>("{}: a compressed archive; unpack it first", path.string());
  }
  if (StartsWith(bytes, "version https://git-lfs")) {
    throw MakeError<DataError>(
        "{}: this is a Git LFS pointer; fetch the file itself (git lfs pull)", path.string());
  }
  if (Trim(bytes).empty()) {
    throw MakeError<DataError>("{}: the file is empty; expected one JSON record per line",
                               path.string());
  }
}

}  // namespace condense
