#include "data/text/corpus.h"

#include <system_error>

#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "config/paths.h"
#include "data/text/line_ends.h"
#include "data/text/readers.h"

namespace condense {
namespace {

// The first path that exists among those a file may have.
std::filesystem::path FindFile(const FileCandidates& file, CorpusLocation location,
                               std::string_view corpus, const DataRoots& roots) {
  const bool bundled = location == CorpusLocation::kBundled;
  const std::vector<std::filesystem::path> folders =
      bundled ? std::vector{roots.bundled} : roots.folders;
  std::string looked;
  for (const auto& folder : folders) {
    for (const std::string& name : file.names) {
      const std::filesystem::path path = folder / name;
      std::error_code ignored;
      if (std::filesystem::is_regular_file(path, ignored)) return path;
      looked += "\n  " + path.string();
    }
  }
  if (folders.empty()) {
    throw MakeError<DataError>(
        "corpus {}: no data folder was named; give the folder that holds {} with --data DIR",
        corpus, Join(file.names, " or "));
  }
  throw MakeError<DataError>(
      "corpus {}: a file is missing; looked for{}{}", corpus, looked,
      bundled ? "" : "\nput it in one of these places, or name its folder with --data DIR");
}

void CheckDigest(const CorpusSplit& split, size_t index, const CorpusFile& file) {
  if (index >= split.sha256.size() || file.sha256 == Lower(split.sha256[index])) return;
  throw MakeError<DataError>(
      "{}: not the expected file: its SHA-256 is {}, expected {}; was it converted or truncated?",
      file.path.string(), file.sha256, split.sha256[index]);
}

std::string CombinedDigest(const std::vector<CorpusFile>& files) {
  if (files.size() == 1) return files.front().sha256;
  Sha256 hash;
  for (const CorpusFile& file : files) hash.Update(file.sha256).Update("\n");
  return hash.Finish();
}

void RequireUtf8(std::string_view text, const std::filesystem::path& path) {
  if (const auto invalid = InvalidUtf8At(text)) {
    throw MakeError<DataError>("{}: invalid UTF-8 at byte {}; convert the file to UTF-8",
                               path.string(), *invalid);
  }
}

const CorpusSplit& FindSplit(const CorpusSpec& spec, std::string_view name,
                             std::string_view split) {
  if (const auto found = spec.splits.find(std::string(split)); found != spec.splits.end()) {
    return found->second;
  }
  std::vector<std::string> known;
  for (const auto& [split_name, rule] : spec.splits) known.push_back(split_name);
  throw MakeError<ConfigError>("corpus {} has no split '{}'{}", name, split,
                               SuggestName(split, known));
}

// The files of a split, read one after another.
class SplitFiles {
 public:
  SplitFiles(const CorpusSpec& spec, std::string_view corpus, const CorpusSplit& split,
             const DataRoots& roots)
      : spec_(spec), corpus_(corpus), split_(split), roots_(roots) {}

  bool AtEnd() const { return read_.size() == split_.files.size(); }
  // The text of the next file, checked.
  std::string Next() {
    const size_t index = read_.size();
    const auto path = FindFile(split_.files[index], spec_.location, corpus_, roots_);
    std::string text = ReadFile(path);
    read_.push_back({path, Sha256Hex(text)});
    CheckDigest(split_, index, read_.back());
    RequireUtf8(text, path);
    return text;
  }
  const std::vector<CorpusFile>& read() const { return read_; }

 private:
  const CorpusSpec& spec_;
  std::string_view corpus_;
  const CorpusSplit& split_;
  const DataRoots& roots_;
  std::vector<CorpusFile> read_;
};

}  // namespace

DataRoots DataRoots::Default(std::vector<std::filesystem::path> folders) {
  return {std::move(folders), ConfigFolder() / "bundled"};
}

void CorpusSplit::Validate(const Node& at, Problems& problems) const {
  const int rules = last.has_value() + all_but_last.has_value() + partition.has_value();
  if (rules > 1) problems.Add(at, "give one of last, all_but_last and partition");
  if (!sha256.empty() && sha256.size() != files.size()) {
    problems.Add(at, fmt::format("{} digests for {} files", sha256.size(), files.size()));
  }
  for (const FileCandidates& file : files) {
    if (file.names.empty()) problems.Add(at, "files: a file without a name");
  }
}

void CorpusSpec::Validate(const Node& at, Problems& problems) const {
  for (const auto& [name, split] : splits) {
    if (!ReaderCounts(reader, split.unit)) {
      problems.Add(at, fmt::format("splits.{}: reader {} does not count in units of '{}'", name,
                                   EnumName(reader), EnumName(split.unit)));
    }
    if (split.partition && reader != CorpusReader::kAlpaca) {
      problems.Add(at, fmt::format("splits.{}: only reader alpaca has partitions", name));
    }
  }
}

Corpus LoadCorpus(const CorpusSpec& spec, std::string_view name, std::string_view split,
                  const DataRoots& roots) {
  const CorpusSplit& rule = FindSplit(spec, name, split);
  Corpus corpus{std::string(name), std::string(split), {}, {}, {}};
  SplitFiles files(spec, name, rule, roots);
  while (!files.AtEnd()) {
    const std::string text = files.Next();
    for (std::string& row : ReadSelectedRows(spec, rule, text, files.read().back().path)) {
      corpus.rows.push_back(std::move(row));
    }
  }
  corpus.files = files.read();
  if (rule.partition) corpus.rows = SelectPartition(std::move(corpus.rows), *rule.partition);
  corpus.sha256 = CombinedDigest(corpus.files);
  if (corpus.rows.empty()) {
    throw MakeError<DataError>("{}: split '{}' of corpus {} holds no text",
                               corpus.files.front().path.string(), split, name);
  }
  return corpus;
}

std::vector<std::filesystem::path> FindCorpusFiles(const CorpusSpec& spec, std::string_view name,
                                                   std::string_view split, const DataRoots& roots) {
  std::vector<std::filesystem::path> paths;
  for (const FileCandidates& file : FindSplit(spec, name, split).files) {
    paths.push_back(FindFile(file, spec.location, name, roots));
  }
  return paths;
}

CorpusText LoadCorpusText(std::string_view name, std::string_view split, const DataRoots& roots) {
  const auto spec = ReadStruct<CorpusSpec>(Node::ParseFile(NamedConfig("corpora", name)));
  const CorpusSplit& rule = FindSplit(spec, name, split);
  if (rule.last || rule.all_but_last || rule.partition) {
    throw MakeError<ConfigError>(
        "corpus {}: split '{}' takes only a part of its files, but whole files were requested",
        name, split);
  }
  CorpusText corpus{std::string(name), std::string(split), {}, {}};
  SplitFiles files(spec, name, rule, roots);
  while (!files.AtEnd()) corpus.text += files.Next();
  corpus.sha256 = CombinedDigest(files.read());
  if (corpus.text.empty()) {
    throw MakeError<DataError>("{}: the text is empty", files.read().front().path.string());
  }
  return corpus;
}

Corpus LoadCorpus(std::string_view name, std::string_view split, const DataRoots& roots) {
  const auto spec = ReadStruct<CorpusSpec>(Node::ParseFile(NamedConfig("corpora", name)));
  return LoadCorpus(spec, name, split, roots);
}

Corpus CorpusFromTextFile(const std::filesystem::path& path) {
  const std::string text = ReadFile(path);
  RequireUtf8(text, path);
  SayWindowsMarks(text, path);
  Corpus corpus{"text:" + path.filename().string(), "all", WikiTextRows(text), {}, {}};
  corpus.files.push_back({path, Sha256Hex(text)});
  corpus.sha256 = corpus.files.front().sha256;
  if (corpus.rows.empty()) throw MakeError<DataError>("{}: the text is empty", path.string());
  return corpus;
}

}  // namespace condense
