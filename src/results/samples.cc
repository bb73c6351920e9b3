#include "results/samples.h"

#include <zstd.h>

#include <bit>
#include <cstring>

#include "base/error.h"

namespace condense {
namespace {

static_assert(std::endian::native == std::endian::little, "blobs hold little-endian values");

constexpr int kCompressionLevel = 6;

struct Header {
  char magic[4] = {'C', 'N', 'S', 'B'};
  uint8_t version = 1;
  uint8_t type = 0;  // index into SampleArray::Values; the order of the alternatives is the format
  uint16_t zero = 0;
  uint64_t columns = 1;
  uint64_t elements = 0;
};
static_assert(sizeof(Header) == 24);

template <size_t type = 0>
SampleArray::Values EmptyValues(size_t wanted) {
  if constexpr (type < std::variant_size_v<SampleArray::Values>) {
    if (wanted != type) return EmptyValues<type + 1>(wanted);
    return SampleArray::Values(std::in_place_index<type>);
  } else {
    throw std::bad_variant_access();
  }
}

Header ReadHeader(std::string_view bytes, std::string_view place) {
  Header header;
  const Header expected;
  if (bytes.size() < sizeof header ||
      std::memcmp(bytes.data(), expected.magic, sizeof expected.magic) != 0) {
    throw MakeError<DataError>("{}: not a blob of samples; the results database is damaged", place);
  }
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.version != expected.version ||
      header.type >= std::variant_size_v<SampleArray::Values>) {
    throw MakeError<DataError>(
        "{}: samples of format {} and type {}, expected format {}; they were written by a newer "
        "program",
        place, header.version, header.type, expected.version);
  }
  return header;
}

}  // namespace

size_t SampleArray::size() const {
  return std::visit([](const auto& vector) { return vector.size(); }, values);
}

std::string EncodeSamples(const SampleArray& array) {
  CONDENSE_CHECK(array.columns > 0 && array.size() % array.columns == 0,
                 "{} samples do not fill rows of {}", array.size(), array.columns);
  Header header;
  header.type = static_cast<uint8_t>(array.values.index());
  header.columns = array.columns;
  header.elements = array.size();
  return std::visit(
      [&](const auto& vector) {
        const size_t raw = vector.size() * sizeof vector[0];
        std::string bytes(sizeof header + ZSTD_compressBound(raw), '\0');
        std::memcpy(bytes.data(), &header, sizeof header);
        const size_t written =
            ZSTD_compress(bytes.data() + sizeof header, bytes.size() - sizeof header, vector.data(),
                          raw, kCompressionLevel);
        CONDENSE_CHECK(!ZSTD_isError(written), "zstd: {}", ZSTD_getErrorName(written));
        bytes.resize(sizeof header + written);
        return bytes;
      },
      array.values);
}

SampleArray DecodeSamples(std::string_view bytes, std::string_view place) {
  const Header header = ReadHeader(bytes, place);
  const std::string_view frame = bytes.substr(sizeof header);
  SampleArray array{EmptyValues(header.type), header.columns};
  std::visit(
      [&](auto& vector) {
        const uint64_t raw = ZSTD_getFrameContentSize(frame.data(), frame.size());
        // Compared by division, so that a wrong header cannot overflow the product.
        const bool sizes_agree = raw % sizeof vector[0] == 0 &&
                                 raw / sizeof vector[0] == header.elements && header.columns > 0 &&
                                 header.elements % header.columns == 0;
        if (raw == ZSTD_CONTENTSIZE_ERROR || raw == ZSTD_CONTENTSIZE_UNKNOWN || !sizes_agree) {
          throw MakeError<DataError>(
              "{}: the blob of samples is damaged: its header says {} values", place,
              header.elements);
        }
        vector.resize(header.elements);
        const size_t read = ZSTD_decompress(vector.data(), raw, frame.data(), frame.size());
        if (ZSTD_isError(read) || read != raw) {
          throw MakeError<DataError>("{}: the blob of samples is damaged: {}", place,
                                     ZSTD_isError(read) ? ZSTD_getErrorName(read) : "cut short");
        }
      },
      array.values);
  return array;
}

}  // namespace condense
