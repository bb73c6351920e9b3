// Files of JSON records: one object per line, or one array of objects. Failures are DataErrors that
// name the file and the line or record.
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace condense {

// Calls `record(object, "file:line")` for each line. A byte order mark, CRLF and empty lines at the
// end are accepted; an empty line in between, invalid UTF-8 and anything but an object are not.
using JsonRecordFunction = std::function<void(const nlohmann::json&, const std::string& place)>;
void ForEachJsonLine(std::string_view text, const std::filesystem::path& path,
                     const JsonRecordFunction& record);
// The same for one array of objects; place is "file: record 12" (counted from 1).
void ForEachJsonElement(std::string_view text, const std::filesystem::path& path,
                        const JsonRecordFunction& record);

// The string under `key`; DataError that lists the keys there are when it is missing.
std::string JsonText(const nlohmann::json& record, const std::string& key,
                     const std::string& place);

}  // namespace condense
