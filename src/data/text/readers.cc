#include "data/text/readers.h"

#include <algorithm>

#include "base/error.h"
#include "base/random.h"
#include "base/strings.h"
#include "data/text/jsonl.h"
#include "data/text/python_text.h"

namespace condense {
namespace {

// Calls `line` for each line, without its newline.
template <class F>
void ForEachLine(std::string_view text, F&& line) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    line(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
}

std::vector<std::string> TrimmedLines(std::string_view text) {
  std::vector<std::string> rows;
  ForEachLine(text, [&](std::string_view line) {
    if (const auto kept = PythonStrip(line); !kept.empty()) rows.emplace_back(kept);
  });
  return rows;
}

std::vector<std::string> JsonlRows(std::string_view text, const std::string& field,
                                   const std::filesystem::path& path) {
  std::vector<std::string> rows;
  ForEachJsonLine(text, path, [&](const nlohmann::json& record, const std::string& place) {
    rows.push_back(JsonText(record, field, place));
  });
  return rows;
}

std::vector<std::string> AlpacaRows(std::string_view text, const std::filesystem::path& path) {
  std::vector<std::string> rows;
  const auto add = [&](const nlohmann::json& record, const std::string& place) {
    rows.push_back(record.contains("text") ? JsonText(record, "text", place)
                                           : AlpacaText(JsonText(record, "instruction", place),
                                                        JsonText(record, "input", place),
                                                        JsonText(record, "output", place)));
  };
  if (StartsWith(Trim(text), "[")) {
    ForEachJsonElement(text, path, add);
  } else {
    ForEachJsonLine(text, path, add);
  }
  return rows;
}

std::vector<std::string> ReadRows(const CorpusSpec& spec, std::string_view text,
                                  const std::filesystem::path& path) {
  switch (spec.reader) {
    case CorpusReader::kWikiText:
    case CorpusReader::kSeparated:
      return WikiTextRows(text);
    case CorpusReader::kJsonlText:
      return JsonlRows(text, spec.field_name, path);
    case CorpusReader::kAlpaca:
      return AlpacaRows(text, path);
    case CorpusReader::kLines:
      return TrimmedLines(text);
  }
  CONDENSE_CHECK(false, "reader");
}

// Whether row `i` begins a unit; `titled`: the current unit has had its title.
bool OpensUnit(const std::vector<std::string>& rows, size_t i, CorpusUnit unit,
               std::string_view separator, bool titled) {
  if (i == 0) return true;
  if (unit == CorpusUnit::kArticle) return titled && IsArticleTitle(rows[i]);
  if (unit == CorpusUnit::kStory) return PythonStrip(rows[i - 1]) == separator;
  return true;
}

// Where each unit begins. What precedes the first title belongs to the first article; a separator
// closes its story.
std::vector<size_t> UnitBegins(const std::vector<std::string>& rows, CorpusUnit unit,
                               std::string_view separator) {
  std::vector<size_t> begins;
  bool titled = false;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (OpensUnit(rows, i, unit, separator, titled)) begins.push_back(i);
    titled = titled || IsArticleTitle(rows[i]);
  }
  return begins;
}

// The byte after the line of the first separator that lies in the last `count` bytes.
size_t CutForward(std::string_view text, int64_t count, std::string_view separator) {
  const auto wanted = static_cast<size_t>(count);
  if (wanted >= text.size()) return 0;
  const size_t found = text.find(separator, text.size() - wanted);
  if (found == text.npos) return text.size();
  const size_t newline = text.find('\n', found);
  return newline == text.npos ? text.size() : newline + 1;
}

}  // namespace

std::vector<std::string> WikiTextRows(std::string_view text) {
  std::vector<std::string> rows;
  ForEachLine(text, [&](std::string_view line) {
    rows.push_back(IsPythonBlank(line) ? "" : std::string(line) + "\n");
  });
  return rows;
}

bool IsArticleTitle(std::string_view row) {
  const std::string_view title = PythonStrip(row);
  return title.size() > 4 && StartsWith(title, "= ") && EndsWith(title, " =") &&
         !StartsWith(title, "= = ");
}

bool ReaderCounts(CorpusReader reader, CorpusUnit unit) {
  switch (unit) {
    case CorpusUnit::kRow:
      return true;
    case CorpusUnit::kArticle:
      return reader == CorpusReader::kWikiText;
    case CorpusUnit::kStory:
    case CorpusUnit::kByte:
      return reader == CorpusReader::kSeparated;
    case CorpusUnit::kRecord:
      return reader == CorpusReader::kAlpaca || reader == CorpusReader::kJsonlText;
  }
  return false;
}

std::vector<std::string> ReadSelectedRows(const CorpusSpec& spec, const CorpusSplit& split,
                                          std::string_view text,
                                          const std::filesystem::path& path) {
  const std::optional<int64_t> count = split.last ? split.last : split.all_but_last;
  if (!count) return ReadRows(spec, text, path);
  if (split.unit == CorpusUnit::kByte) {
    const size_t cut = CutForward(text, *count, spec.separator);
    return ReadRows(spec, split.last ? text.substr(cut) : text.substr(0, cut), path);
  }
  std::vector<std::string> rows = ReadRows(spec, text, path);
  const std::vector<size_t> begins = UnitBegins(rows, split.unit, spec.separator);
  if (static_cast<int64_t>(begins.size()) < *count) {
    throw MakeError<DataError>(
        "{}: has {} units of kind '{}', but the split counts {} from the end", path.string(),
        begins.size(), EnumName(split.unit), *count);
  }
  const auto cut = static_cast<int64_t>(begins[begins.size() - static_cast<size_t>(*count)]);
  if (split.last) {
    rows.erase(rows.begin(), rows.begin() + cut);
  } else {
    rows.erase(rows.begin() + cut, rows.end());
  }
  return rows;
}

std::vector<int64_t> PartitionIndices(int64_t count, CorpusPartition partition) {
  constexpr uint32_t kSeed = 42;
  const std::vector<int64_t> order = NumpyRandom(kSeed).Permutation(count);
  const int64_t held_out = (count + 4) / 5;  // ceil(0.2 count)
  if (partition == CorpusPartition::kTrain) return {order.begin() + held_out, order.end()};
  const std::vector<int64_t> inner = NumpyRandom(kSeed).Permutation(held_out);
  const int64_t validation = (held_out + 1) / 2;
  const bool first = partition == CorpusPartition::kValidation;
  std::vector<int64_t> chosen;
  for (int64_t i = first ? 0 : validation; i < (first ? validation : held_out); ++i) {
    chosen.push_back(order[static_cast<size_t>(inner[static_cast<size_t>(i)])]);
  }
  return chosen;
}

std::vector<std::string> SelectPartition(std::vector<std::string> rows, CorpusPartition partition) {
  std::vector<std::string> chosen;
  for (const int64_t index : PartitionIndices(static_cast<int64_t>(rows.size()), partition)) {
    chosen.push_back(std::move(rows[static_cast<size_t>(index)]));
  }
  return chosen;
}

std::string AlpacaText(std::string_view instruction, std::string_view input,
                       std::string_view output) {
  if (input.empty()) {
    return fmt::format(
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.\n\n### Instruction:\n{}\n\n### Response:\n{}",
        instruction, output);
  }
  return fmt::format(
      "Below is an instruction that describes a task, paired with an input that provides further "
      "context. Write a response that appropriately completes the request.\n\n"
      "### Instruction:\n{}\n\n### Input:\n{}\n\n### Response:\n{}",
      instruction, input, output);
}

}  // namespace condense
