// Marks of Windows in a text file, which a tokenizer takes as part of the text.
#pragma once

#include <filesystem>
#include <string_view>

namespace condense {

// Warns in one line if the text begins with a byte-order mark or has lines that end with CR and LF.
// The text itself stays as it is.
void SayWindowsMarks(std::string_view text, const std::filesystem::path& path);

}  // namespace condense
