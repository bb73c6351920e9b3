#include "config/scalars.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/strings.h"

namespace condense {
namespace {

bool IsDigits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string_view WithoutSign(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  return text;
}

bool HasLeadingZero(std::string_view unsigned_text) {
  return unsigned_text.size() > 1 && unsigned_text[0] == '0' &&
         IsDigits(unsigned_text.substr(1, 1));
}

// [+-] digits [. digits] [e [+-] digits], with a digit before or after the point.
bool IsDecimal(std::string_view text) {
  text = WithoutSign(text);
  const size_t exponent = text.find_first_of("eE");
  if (exponent != std::string_view::npos) {
    if (!IsDigits(WithoutSign(text.substr(exponent + 1)))) return false;
    text = text.substr(0, exponent);
  }
  const size_t point = text.find('.');
  if (point == std::string_view::npos) return IsDigits(text);
  const std::string_view whole = text.substr(0, point), fraction = text.substr(point + 1);
  if (whole.empty()) return IsDigits(fraction);
  return IsDigits(whole) && (fraction.empty() || IsDigits(fraction));
}

std::string_view NumberHint(const Node& node) {
  if (!node.IsScalar()) return "";
  const std::string_view text = node.text();
  if (node.quoted()) return IsDecimal(text) ? "; remove the quotes" : "";
  const std::string_view bare = WithoutSign(text);
  if (HasLeadingZero(bare)) return "; write it in decimal digits without leading zeros";
  if (bare.starts_with("0x") || bare.starts_with("0o") || bare.starts_with("0b") ||
      (!bare.empty() && IsDigits(bare.substr(0, 1)) && bare.find('_') != std::string_view::npos)) {
    return "; write it in plain decimal digits";
  }
  return "";
}

void AddExpectedNumber(const Node& node, std::string_view expected, Problems& problems) {
  problems.Add(node,
               fmt::format("expected {}, found {}{}", expected, node.Describe(), NumberHint(node)));
}

// The digits of an integer, possibly out of range; nullopt after a problem.
template <class T>
std::optional<T> ReadInteger(const Node& node, T least, T most, Problems& problems) {
  const std::string_view text = node.text();
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (!node.IsScalar() || node.quoted() || !IsDigits(digits) || HasLeadingZero(digits)) {
    AddExpectedNumber(node, "an integer", problems);
    return std::nullopt;
  }
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    AddExpectedNumber(node, fmt::format("an integer from {} to {}", least, most), problems);
    return std::nullopt;
  }
  return value;
}

}  // namespace

void AddExpected(const Node& node, std::string_view expected, Problems& problems) {
  problems.Add(node, fmt::format("expected {}, found {}", expected, node.Describe()));
}

void AddUnknownChoice(const Node& node, const std::vector<std::string>& choices,
                      Problems& problems) {
  const std::string all = Join(choices, ", ");
  if (!node.IsScalar()) return AddExpected(node, fmt::format("one of {}", all), problems);
  const auto nearest = NearestName(node.text(), choices);
  problems.Add(node,
               fmt::format("unknown value '{}'{} (one of {})", node.text(),
                           nearest ? fmt::format("; did you mean '{}'?", *nearest) : "", all));
}

std::optional<bool> ReadBool(const Node& node, Problems& problems) {
  if (node.IsScalar() && !node.quoted()) {
    if (node.text() == "true") return true;
    if (node.text() == "false") return false;
  }
  AddExpected(node, "true or false", problems);
  return std::nullopt;
}

std::optional<int64_t> ReadSigned(const Node& node, int64_t least, int64_t most,
                                  Problems& problems) {
  return ReadInteger<int64_t>(node, least, most, problems);
}

std::optional<uint64_t> ReadUnsigned(const Node& node, uint64_t most, Problems& problems) {
  return ReadInteger<uint64_t>(node, 0, most, problems);
}

std::optional<double> ReadDouble(const Node& node, Problems& problems) {
  std::string_view text = node.text();
  if (!node.IsScalar() || node.quoted() || !IsDecimal(text) || HasLeadingZero(WithoutSign(text))) {
    AddExpectedNumber(node, "a finite number", problems);
    return std::nullopt;
  }
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    AddExpectedNumber(node, "a number within the range of a double", problems);
    return std::nullopt;
  }
  return value == 0 ? 0.0 : value;
}

std::optional<std::string> ReadString(const Node& node, Problems& problems) {
  if (node.IsScalar()) return node.text();
  AddExpected(node, "text", problems);
  return std::nullopt;
}

std::string JsonString(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string JsonNumber(double value) {
  CONDENSE_CHECK(std::isfinite(value), "canonical text of {}", value);
  if (value == 0) return "0";  // also of -0
  char buffer[64];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), value);
  CONDENSE_CHECK(error == std::errc());
  return {buffer, end};
}

namespace {

std::string CanonicalScalar(const Node& node) {
  if (node.quoted()) return JsonString(node.text());
  if (node.text() == "true" || node.text() == "false") return node.text();
  Problems problems;
  if (const auto integer = ReadSigned(node, std::numeric_limits<int64_t>::min(),
                                      std::numeric_limits<int64_t>::max(), problems)) {
    return std::to_string(*integer);
  }
  if (const auto number = ReadDouble(node, problems)) return JsonNumber(*number);
  return JsonString(node.text());
}

}  // namespace

std::string CanonicalText(const Node& node) {
  std::vector<std::string> parts;
  switch (node.kind()) {
    case Node::Kind::kNull:
      return "null";
    case Node::Kind::kScalar:
      return CanonicalScalar(node);
    case Node::Kind::kSequence:
      for (const Node& item : node.items()) parts.push_back(CanonicalText(item));
      return fmt::format("[{}]", fmt::join(parts, ","));
    case Node::Kind::kMap:
      break;
  }
  for (const auto& [key, value] : node.entries()) {
    parts.push_back(JsonString(key) + ":" + CanonicalText(value));
  }
  std::sort(parts.begin(), parts.end());
  return fmt::format("{{{}}}", fmt::join(parts, ","));
}

}  // namespace condense
