// Corpora: named texts, divided into rows as the papers that use them do (protocols.md 1.1, 2.6).
//
// configs/corpora/<name>.yaml defines a corpus: its reader, its files, and the part of them that
// each split takes. Nothing is tokenised here.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/fields.h"

namespace condense {

// Where texts are looked for.
struct DataRoots {
  std::vector<std::filesystem::path> folders;  // the user's (--data), in this order
  std::filesystem::path bundled;               // configs/bundled

  // The user's folders, and the bundled folder inside the configuration folder.
  static DataRoots Default(std::vector<std::filesystem::path> folders = {});
};

// What turns the bytes of a file into rows.
enum class CorpusReader {
  kWikiText,   // each line is a row, with its newline; blank lines are empty rows
  kJsonlText,  // one field of each JSON line
  kAlpaca,     // instruction records: JSON array or JSON lines
  kSeparated,  // texts between separator lines; rows as in kWikiText, separators included
  kLines,      // each line is a row, stripped of white space; blank lines are left out
};
enum class CorpusLocation { kData, kBundled };
enum class CorpusUnit { kRow, kArticle, kStory, kRecord, kByte };  // what a split counts in
enum class CorpusPartition { kTrain, kValidation, kTest };         // of the seeded split of 2.6

template <>
struct EnumNames<CorpusReader> {
  static constexpr std::array names{
      std::pair{CorpusReader::kWikiText, "wikitext"},
      std::pair{CorpusReader::kJsonlText, "jsonl-text"}, std::pair{CorpusReader::kAlpaca, "alpaca"},
      std::pair{CorpusReader::kSeparated, "separated"}, std::pair{CorpusReader::kLines, "lines"}};
};
template <>
struct EnumNames<CorpusLocation> {
  static constexpr std::array names{std::pair{CorpusLocation::kData, "data"},
                                    std::pair{CorpusLocation::kBundled, "bundled"}};
};
template <>
struct EnumNames<CorpusUnit> {
  static constexpr std::array names{
      std::pair{CorpusUnit::kRow, "row"}, std::pair{CorpusUnit::kArticle, "article"},
      std::pair{CorpusUnit::kStory, "story"}, std::pair{CorpusUnit::kRecord, "record"},
      std::pair{CorpusUnit::kByte, "byte"}};
};
template <>
struct EnumNames<CorpusPartition> {
  static constexpr std::array names{std::pair{CorpusPartition::kTrain, "train"},
                                    std::pair{CorpusPartition::kValidation, "validation"},
                                    std::pair{CorpusPartition::kTest, "test"}};
};

// One file, by its alternative names relative to a data folder.
struct FileCandidates {
  std::vector<std::string> names;
};
// Written as one name or a list of names.
template <>
struct FieldType<FileCandidates> {
  static void Read(const Node& node, FileCandidates& value, Problems& problems) {
    if (node.IsScalar()) {
      value.names = {node.text()};
    } else {
      FieldType<std::vector<std::string>>::Read(node, value.names, problems);
    }
  }
  static std::string Canonical(const FileCandidates& value) {
    return FieldType<std::vector<std::string>>::Canonical(value.names);
  }
  static std::string TypeName() { return "file name or list of file names"; }
};

struct CorpusSplit {
  std::vector<FileCandidates> files;
  std::vector<std::string> sha256;
  CorpusUnit unit = CorpusUnit::kRow;
  std::optional<int64_t> last, all_but_last;
  std::optional<CorpusPartition> partition;

  template <class V>
  void Fields(V&& field) {
    field("files", files, "files, read in this order; a list gives alternative names of one file",
          Required{}, NonEmpty{});
    field("sha256", sha256, "digests that the files must have, in the same order");
    field("unit", unit, "unit in which last and all_but_last count");
    field("last", last, "use only this many units from the end of each file", Range::AtLeast(1));
    field("all_but_last", all_but_last, "leave out this many units at the end of each file",
          Range::AtLeast(1));
    field("partition", partition, "part of the seeded split of instruction records");
  }
  void Validate(const Node& at, Problems& problems) const;
};

struct CorpusSpec {
  std::string title;
  CorpusReader reader = CorpusReader::kWikiText;
  CorpusLocation location = CorpusLocation::kData;
  std::string field_name = "text";
  std::string separator = "<|endoftext|>";
  std::map<std::string, CorpusSplit> splits;

  template <class V>
  void Fields(V&& field) {
    field("title", title, "name in tables");
    field("reader", reader, "how rows are read from a file", Required{});
    field("location", location, "the user's data folders, or files that ship with the program");
    field("field", field_name, "field that holds the text (jsonl-text)", NonEmpty{});
    field("separator", separator, "line between two texts (separated)", NonEmpty{});
    field("splits", splits, "what each split consists of", Required{}, NonEmpty{});
  }
  void Validate(const Node& at, Problems& problems) const;
};

struct CorpusFile {
  std::filesystem::path path;
  std::string sha256;
};

struct Corpus {
  std::string name, split;
  std::vector<std::string> rows;
  std::vector<CorpusFile> files;
  std::string sha256;  // of the file; of several files: of their digests, one per line

  int64_t size() const { return static_cast<int64_t>(rows.size()); }
};

// ConfigError for an unknown corpus or split. DataError when a file is missing (naming every path
// tried), has another digest or is malformed, or when the split is empty.
Corpus LoadCorpus(std::string_view name, std::string_view split, const DataRoots& roots);
Corpus LoadCorpus(const CorpusSpec& spec, std::string_view name, std::string_view split,
                  const DataRoots& roots);
// The whole files of a split, concatenated, for measurements that do not work on rows. ConfigError
// when the split takes only a part of its files.
struct CorpusText {
  std::string name, split;
  std::string text;
  std::string sha256;  // as of Corpus
};
CorpusText LoadCorpusText(std::string_view name, std::string_view split, const DataRoots& roots);
// The files that LoadCorpus would read; the same errors for what is missing.
std::vector<std::filesystem::path> FindCorpusFiles(const CorpusSpec& spec, std::string_view name,
                                                   std::string_view split, const DataRoots& roots);
// A user's text file, divided into rows as WikiText is.
Corpus CorpusFromTextFile(const std::filesystem::path& path);

}  // namespace condense
