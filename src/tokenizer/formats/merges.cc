#include "tokenizer/formats/merges.h"

#include "base/error.h"
#include "tokenizer/json_file.h"

namespace condense {

TokenId MergeReader::Find(std::string_view token, std::string_view file) const {
  if (const auto id = vocabulary_.Find(token)) return *id;
  throw MakeError<DataError>("{}: merge {} needs the token \"{}\", which the vocabulary lacks",
                             file, merges_.size() + 1, Quotable(token));
}

void MergeReader::Add(std::string_view left, std::string_view right, std::string_view file) {
  BpeMerge merge;
  merge.left = Find(left, file);
  merge.right = Find(right, file);
  merge.result = Find(std::string(left).append(right), file);
  merge.rank = static_cast<uint32_t>(merges_.size());
  merges_.push_back(merge);
}

void MergeReader::AddLine(std::string_view line, std::string_view file) {
  const size_t space = line.find(' ');
  if (space == line.npos || space == 0 || space + 1 == line.size() ||
      line.find(' ', space + 1) != line.npos) {
    throw MakeError<DataError>("{}: merge {} is '{}'; expected two tokens with a space between",
                               file, merges_.size() + 1, Quotable(line));
  }
  Add(line.substr(0, space), line.substr(space + 1), file);
}

}  // namespace condense
