#include "data/protocols/protocol.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/sha256.h"
#include "config/paths.h"
#include "stats/stored_names.h"

namespace condense {
namespace {

enum class Family { kWindowed, kRolling, kChunked };

}  // namespace

template <>
struct EnumNames<Family> {
  static constexpr std::array names{std::pair{Family::kWindowed, "windowed"},
                                    std::pair{Family::kRolling, "rolling"},
                                    std::pair{Family::kChunked, "chunked"}};
};

namespace {

// The keys that files of every family may have. None is a frozen parameter.
struct Heading {
  Family family = Family::kWindowed;
  std::optional<int64_t> agreement_windows;

  template <class V>
  void Fields(V&& field) {
    field("family", family, "kind of measurement");
    field("agreement_windows", agreement_windows,
          "windows on which agreement with the dense model is measured; absent: all",
          Range::AtLeast(1));
  }
  void Validate(const Node& at, Problems& problems) const {
    if (agreement_windows && family == Family::kRolling) {
      problems.Add(at, "agreement_windows: family rolling has no windows of one length");
    }
  }
};

// The family windowed came first: its canonical text names no family.
std::string CanonicalParams(Family family, const std::string& rules) {
  if (family == Family::kWindowed) return rules;
  return fmt::format(R"({{"family":"{}",{})", EnumName(family), rules.substr(1));
}

}  // namespace

void WindowedProtocol::Validate(const Node& at, Problems& problems) const {
  if (stride != window) {
    problems.Add(at, fmt::format("stride {} differs from window {}; windows cannot overlap", stride,
                                 window));
  }
}

void ChunkedProtocol::Validate(const Node& at, Problems& problems) const {
  if (chunk % 2 != 0) problems.Add(at, fmt::format("chunk {} is not an even number", chunk));
}

NamedProtocol ReadPerplexityProtocol(std::string_view id, const Node& node) {
  const std::vector<std::string> keys = FieldNames<Heading>();
  const auto heading = ReadStruct<Heading>(node.Only(keys));
  NamedProtocol named;
  named.id = id;
  const Node rules = node.Without(keys);
  if (heading.family == Family::kWindowed) {
    named.rules = ReadStruct<WindowedProtocol>(rules);
  } else if (heading.family == Family::kRolling) {
    named.rules = ReadStruct<RollingProtocol>(rules);
  } else {
    named.rules = ReadStruct<ChunkedProtocol>(rules);
  }
  named.params = CanonicalParams(
      heading.family,
      std::visit([](const auto& known) { return CanonicalText(known); }, named.rules));
  named.params_sha256 = Sha256Hex(named.params);
  named.agreement_windows = heading.agreement_windows;
  return named;
}

NamedProtocol LoadPerplexityProtocol(std::string_view id) {
  return ReadPerplexityProtocol(id, Node::ParseFile(NamedConfig("protocols", id)));
}

std::string_view NamedProtocol::family() const {
  return EnumNames<Family>::names.at(rules.index()).second;
}

const std::string& NamedProtocol::corpus() const {
  return std::visit([](const auto& known) -> const std::string& { return known.corpus; }, rules);
}

const std::string& NamedProtocol::split() const {
  return std::visit([](const auto& known) -> const std::string& { return known.split; }, rules);
}

std::optional<int64_t> NamedProtocol::positions() const {
  if (const auto* windowed = std::get_if<WindowedProtocol>(&rules)) return windowed->window;
  if (const auto* chunked = std::get_if<ChunkedProtocol>(&rules)) return chunked->chunk;
  return std::get<RollingProtocol>(rules).max_length;
}

std::string NamedProtocol::Summary() const {
  if (const auto* windowed = std::get_if<WindowedProtocol>(&rules)) {
    return fmt::format("windows of {}, special {}", windowed->window, EnumName(windowed->special));
  }
  if (const auto* chunked = std::get_if<ChunkedProtocol>(&rules)) {
    return fmt::format("chunks of {}, the second half scored", chunked->chunk);
  }
  const auto& rolling = std::get<RollingProtocol>(rules);
  return fmt::format("words of pages, prefix {}, special {}", EnumName(rolling.prefix),
                     EnumName(rolling.special));
}

AgreementProtocol AgreementOn(const NamedProtocol& text, std::optional<int64_t> windows) {
  if (std::holds_alternative<RollingProtocol>(text.rules)) {
    throw MakeError<ConfigError>(
        "protocol {} is of family rolling, but agreement is measured on windows of one length; use "
        "a windowed protocol",
        text.id);
  }
  const bool own_number = !windows || windows == text.agreement_windows;
  AgreementProtocol agreement;
  agreement.id =
      FormatAgreementText({text.id, own_number ? std::nullopt : std::optional(*windows)});
  agreement.windows = own_number ? text.agreement_windows : windows;
  agreement.params = fmt::format(R"({{"text":{},"windows":{}}})", text.params,
                                 agreement.windows ? std::to_string(*agreement.windows) : "null");
  agreement.params_sha256 = Sha256Hex(agreement.params);
  return agreement;
}

}  // namespace condense
