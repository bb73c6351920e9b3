#include "stats/stored_names.h"

#include <fmt/format.h>

#include <charconv>

#include "base/strings.h"

namespace condense {
namespace {

constexpr std::string_view kFirst = "@first-";
constexpr std::string_view kAgreement = "agree-";
constexpr std::string_view kWindows = "@";
constexpr std::string_view kLayer = "layer ";

std::optional<int64_t> WholeNumber(std::string_view text) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end || number < 0) return std::nullopt;
  return number;
}

struct Numbered {
  std::string text;
  std::optional<int64_t> number;
};

// The text before the last mark and the number after it; the whole text where no number follows.
Numbered SplitNumber(std::string_view text, std::string_view mark) {
  const size_t at = text.rfind(mark);
  if (at != std::string_view::npos) {
    if (const auto number = WholeNumber(text.substr(at + mark.size())))
      return {std::string(text.substr(0, at)), number};
  }
  return {std::string(text), std::nullopt};
}

}  // namespace

std::string FormatTaskPart(const TaskPart& part) {
  return part.first ? fmt::format("{}{}{}", part.task, kFirst, *part.first) : part.task;
}

TaskPart ParseTaskPart(std::string_view text) {
  Numbered parsed = SplitNumber(text, kFirst);
  return {std::move(parsed.text), parsed.number};
}

std::string FormatAgreementText(const AgreementText& agreement) {
  const std::string id = fmt::format("{}{}", kAgreement, agreement.text);
  return agreement.windows ? fmt::format("{}{}{}", id, kWindows, *agreement.windows) : id;
}

std::optional<AgreementText> ParseAgreementText(std::string_view protocol) {
  if (!StartsWith(protocol, kAgreement)) return std::nullopt;
  Numbered parsed = SplitNumber(protocol.substr(kAgreement.size()), kWindows);
  return AgreementText{std::move(parsed.text), parsed.number};
}

std::string FormatModulePlace(const ModulePlace& place) {
  return fmt::format("{}{} {}", kLayer, place.layer, place.module);
}

std::optional<ModulePlace> ParseModulePlace(std::string_view task) {
  if (!StartsWith(task, kLayer)) return std::nullopt;
  const std::string_view rest = task.substr(kLayer.size());
  const size_t space = rest.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const auto layer = WholeNumber(rest.substr(0, space));
  if (!layer) return std::nullopt;
  return ModulePlace{*layer, std::string(rest.substr(space + 1))};
}

}  // namespace condense
