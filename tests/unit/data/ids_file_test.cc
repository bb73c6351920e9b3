#include "data/text/ids_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "support/temp_folder.h"
#include "unit/data/error_text.h"

namespace condense {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class T>
std::string Bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// A .npy file of format version 1 as numpy.save writes it.
std::string Npy(const std::string& type, const std::string& shape, const std::string& data,
                const std::string& fortran = "False") {
  std::string header =
      "{'descr': '" + type + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
  header.resize((header.size() + 10 + 64) / 64 * 64 - 11, ' ');
  header += '\n';
  std::string file = std::string("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() & 0xFF);
  file += static_cast<char>(header.size() >> 8);
  return file + header + data;
}

class IdsFileTest : public ::testing::Test {
 protected:
  IdsFile Read(const std::string& name, const std::string& bytes, IdsFileOptions options = {}) {
    WriteFileAtomically(folder_.path() / name, bytes);
    return ReadIdsFile(folder_.path() / name, options);
  }
  std::string Refused(const std::string& name, const std::string& bytes,
                      IdsFileOptions options = {}) {
    return ErrorText<DataError>([&] { Read(name, bytes, options); });
  }

  TempFolder folder_;
};

TEST_F(IdsFileTest, ReadsRawIntegersOfBothWidths) {
  EXPECT_THAT(Read("a.bin", Bytes<uint16_t>({1, 65535})).ids, ElementsAre(1, 65535));
  EXPECT_THAT(Read("a.bin", Bytes<int32_t>({1, 128000}), {IdsType::kInt32}).ids,
              ElementsAre(1, 128000));
}

TEST_F(IdsFileTest, ReadsNumPyArraysOfEveryIntegerType) {
  EXPECT_THAT(Read("a.npy", Npy("<u2", "(3,)", Bytes<uint16_t>({1, 2, 40000}))).ids,
              ElementsAre(1, 2, 40000));
  EXPECT_THAT(Read("a.npy", Npy("<i8", "(2,)", Bytes<int64_t>({5, 128000}))).ids,
              ElementsAre(5, 128000));
  EXPECT_THAT(Read("a.npy", Npy("|u1", "(2,)", Bytes<uint8_t>({0, 255}))).ids, ElementsAre(0, 255));
  const IdsFile rows = Read("a.npy", Npy("<i4", "(2, 3)", Bytes<int32_t>({1, 2, 3, 4, 5, 6})));
  EXPECT_THAT(rows.ids, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(rows.columns, 3);
}

TEST_F(IdsFileTest, StopsAfterAsManyAsWanted) {
  const IdsFile file = Read("a.bin", Bytes<uint16_t>({1, 2, 60000}), {IdsType::kUint16, 100, 2});
  EXPECT_THAT(file.ids, ElementsAre(1, 2));
  EXPECT_EQ(file.total, 3);
}

TEST_F(IdsFileTest, RefusesIdsOutsideTheVocabulary) {
  EXPECT_THAT(Refused("a.bin", Bytes<uint16_t>({7, 300}), {IdsType::kUint16, 260}),
              HasSubstr("id 300 at position 1 is outside the vocabulary of 260 ids"));
  EXPECT_THAT(Refused("a.bin", Bytes<int32_t>({7, -1}), {IdsType::kInt32, 260}),
              HasSubstr("id -1 at position 1"));
  EXPECT_THAT(Refused("a.npy", Npy("<u8", "(1,)", Bytes<uint64_t>({UINT64_MAX}))),
              HasSubstr("position 0"));
}

TEST_F(IdsFileTest, RefusesSizesThatDoNotFit) {
  EXPECT_THAT(Refused("a.bin", "abc"), HasSubstr("3 bytes are not a whole number of uint16 ids"));
  EXPECT_THAT(Refused("a.bin", ""), HasSubstr("holds no ids"));
  EXPECT_THAT(Refused("a.npy", Npy("<u2", "(4,)", Bytes<uint16_t>({1, 2, 3}))),
              HasSubstr("its shape is [4], of 2-byte integers, but 6 bytes of data follow"));
  EXPECT_THAT(Refused("a.npy", Npy("<u2", "(2, 2)", Bytes<uint16_t>({1, 2, 3}))),
              HasSubstr("its shape is [2, 2]"));
  EXPECT_THAT(Refused("a.npy", Npy("<u2", "(4611686018427387904, 4)", Bytes<uint16_t>({}))),
              HasSubstr("its shape is"));
  EXPECT_THAT(Refused("a.npy", Npy("<u2", "(0,)", "")), HasSubstr("holds no ids"));
}

TEST_F(IdsFileTest, RefusesOtherKindsOfArrays) {
  EXPECT_THAT(Refused("a.npy", Npy("<f4", "(1,)", Bytes<float>({1}))),
              HasSubstr("its type is '<f4'; expected integers"));
  EXPECT_THAT(Refused("a.npy", Npy(">u2", "(1,)", Bytes<uint16_t>({1}))), HasSubstr("big-endian"));
  EXPECT_THAT(Refused("a.npy", Npy("<u2", "(1, 1, 1)", Bytes<uint16_t>({1}))),
              HasSubstr("it has 3 dimensions"));
  EXPECT_THAT(Refused("a.npy", Npy("<u2", "()", Bytes<uint16_t>({1}))),
              HasSubstr("it has 0 dimensions"));
  EXPECT_THAT(Refused("a.npy", Npy("<u2", "(1, 1)", Bytes<uint16_t>({1}), "True")),
              HasSubstr("column by column"));
}

TEST_F(IdsFileTest, RefusesBrokenHeaders) {
  const std::string good = Npy("<u2", "(1,)", Bytes<uint16_t>({1}));
  EXPECT_THAT(Refused("a.npy", "hello, this is no array"), HasSubstr("NumPy's magic bytes"));
  EXPECT_THAT(Refused("a.npy", good.substr(0, 9)), HasSubstr("it ends after 9 bytes"));
  EXPECT_THAT(Refused("a.npy", good.substr(0, 40)), HasSubstr("its header claims"));
  std::string version = good;
  version[6] = 9;
  EXPECT_THAT(Refused("a.npy", version), HasSubstr("format version 9"));
  std::string nameless = good;
  nameless.replace(nameless.find("shape"), 5, "shale");
  EXPECT_THAT(Refused("a.npy", nameless), HasSubstr("its header has no 'shape'"));
}

TEST_F(IdsFileTest, GoesByTheEndingOfTheName) {
  EXPECT_THAT(Refused("a.txt", "1 2 3"), HasSubstr("must end in .bin"));
  EXPECT_THAT(Refused("a.bin", Npy("<u2", "(1,)", Bytes<uint16_t>({1}))), HasSubstr("ending .npy"));
}

TEST(IdsType, IsParsedByName) {
  EXPECT_EQ(ParseIdsType("int32"), IdsType::kInt32);
  EXPECT_THAT(ErrorText<ConfigError>([] { ParseIdsType("int16"); }), HasSubstr("int16"));
}

}  // namespace
}  // namespace condense
