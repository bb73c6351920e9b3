// GGUF files: those of the reference writer, and damaged ones made here.
#include "checkpoint/gguf/gguf_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "checkpoint/json.h"
#include "support/gguf_bytes.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"
#include "unit/checkpoint/raw_files.h"

namespace condense {
namespace {

using Kind = GgufKind;

constexpr uint32_t kTypeF32 = 0, kTypeQ8 = 8;

std::string DigestOf(const Tensor& tensor) {
  return Sha256Hex({static_cast<const char*>(tensor.data_ptr()), tensor.nbytes()});
}

// One of every kind of value, and two tensors that fill the data to its last byte.
GgufBytes Small() {
  GgufBytes file;
  file.Entry("general.architecture", Kind::kString, RawText("llama"))
      .Entry("a.bool", Kind::kBool, Raw<uint8_t>(1))
      .Entry("a.float", Kind::kFloat32, Raw(0.5F))
      .Entry("a.count", Kind::kUint64, Raw<uint64_t>(7))
      .Entry("a.numbers", Kind::kArray,
             RawArray(Kind::kInt16, 2) + Raw<int16_t>(-3) + Raw<int16_t>(4))
      .Entry("a.words", Kind::kArray, RawArray(Kind::kString, 2) + RawText("one") + RawText(""))
      .Entry("a.nested", Kind::kArray,
             RawArray(Kind::kArray, 1) + RawArray(Kind::kUint8, 3) + "abc")
      .Tensor("first", {4, 2}, kTypeF32, 0)
      .Tensor("second", {8}, kTypeF32, 32);
  std::string data;
  for (int i = 0; i < 16; ++i) data += Raw(static_cast<float>(i));
  return file.Data(data);
}

class Gguf : public ::testing::Test {
 protected:
  std::filesystem::path Write(std::string_view bytes, const std::string& name = "model.gguf") {
    // Hundreds are written; none has to survive a crash.
    std::ofstream(folder_.path() / name, std::ios::binary) << bytes;
    return folder_.path() / name;
  }
  // A matcher's subject: opens a file of these bytes.
  std::function<void()> Opening(std::string_view bytes) {
    return [path = Write(bytes)] { GgufFile::Open(path); };
  }
  std::function<void()> Opening(const GgufBytes& file) { return Opening(file.Bytes()); }

  TempFolder folder_;
};

// ---- files of the reference writer

void ExpectTensors(const GgufFile& file, const nlohmann::json& golden) {
  EXPECT_EQ(file.Names().size(), golden.size());
  for (const auto& [name, expected] : golden.items()) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(file.Has(name));
    EXPECT_EQ(file.Info(name).shape, expected.at("shape").get<std::vector<int64_t>>());
    EXPECT_EQ(file.Info(name).type->name, expected.at("type").get<std::string>());
    EXPECT_EQ(file.FileOf(name).filename().string(), expected.at("file").get<std::string>());
    EXPECT_EQ(DigestOf(file.Get(name)), expected.at("sha256").get<std::string>());
    file.Release(name);
    EXPECT_EQ(DigestOf(file.Get(name)), expected.at("sha256").get<std::string>());
  }
}

TEST_F(Gguf, HasTheTensorsThatTheReferenceWriterWrote) {
  const auto golden = ReadJson(GoldenFile("gguf/values.json"));
  ExpectTensors(GgufFile::Open(GoldenFile("gguf/whole.gguf")), golden.at("whole"));
}

TEST_F(Gguf, SplitIntoFilesIsOpenedAsOneByAnyOfThem) {
  const auto golden = ReadJson(GoldenFile("gguf/values.json"));
  for (int number = 1; number <= 3; ++number) {
    const auto file =
        GgufFile::Open(GoldenFile(fmt::format("gguf/parts-0000{}-of-00003.gguf", number)));
    EXPECT_EQ(file.files().size(), 3u);
    EXPECT_EQ(file.metadata().String("general.architecture"), "llama");
    ExpectTensors(file, golden.at("parts"));
  }
}

TEST_F(Gguf, HasTheMetadataThatTheReferenceWriterWrote) {
  const auto file = GgufFile::Open(GoldenFile("gguf/whole.gguf"));
  const GgufMetadata& metadata = file.metadata();
  EXPECT_EQ(metadata.Integer("general.alignment"), 64);
  EXPECT_EQ(metadata.Integer("test.uint8"), 200);
  EXPECT_EQ(metadata.Integer("test.int8"), -100);
  EXPECT_EQ(metadata.Integer("test.uint16"), 60000);
  EXPECT_EQ(metadata.Integer("test.int16"), -30000);
  EXPECT_EQ(metadata.Integer("test.uint32"), 4000000000);
  EXPECT_EQ(metadata.Integer("test.int32"), -2000000000);
  EXPECT_EQ(metadata.Integer("test.int64"), -(int64_t{1} << 62));
  EXPECT_EQ(std::get<uint64_t>(metadata.Find("test.uint64")->value), (uint64_t{1} << 63) + 1);
  EXPECT_EQ(metadata.Number("test.float32"), 0.1F);
  EXPECT_EQ(metadata.Number("test.float64"), 0.1);
  EXPECT_EQ(metadata.Number("test.uint8"), 200.0);
  EXPECT_EQ(metadata.Bool("test.yes"), true);
  EXPECT_EQ(metadata.Bool("test.no"), false);
  EXPECT_EQ(metadata.String("test.text"), "ein Wort: Glück");
  EXPECT_EQ(*metadata.Strings("test.strings"), (std::vector<std::string_view>{"a", "", "Ġt"}));
  EXPECT_EQ(metadata.Integers("test.integers"), (std::vector<int64_t>{3, -1, 7}));
  EXPECT_EQ(metadata.Numbers("test.numbers"), (std::vector<double>{0.5, -1.25}));
  const auto& nested = std::get<GgufArray>(metadata.Find("test.nested")->value);
  ASSERT_EQ(nested.arrays.size(), 2u);
  EXPECT_EQ(nested.arrays[0].numbers, Raw<int32_t>(1) + Raw<int32_t>(2));
  EXPECT_EQ(nested.arrays[1].count, 1u);
}

// ---- access

TEST_F(Gguf, GivesNothingForAbsentKeysAndAnErrorForOtherKinds) {
  const auto file = GgufFile::Open(Write(Small().Bytes()));
  const GgufMetadata& metadata = file.metadata();
  EXPECT_EQ(metadata.Integer("absent"), std::nullopt);
  EXPECT_EQ(metadata.Strings("absent"), nullptr);
  EXPECT_EQ(metadata.Numbers("absent"), std::nullopt);
  EXPECT_THAT([&] { metadata.Integer("a.float"); },
              FailsWith("model.gguf", "'a.float' is float32", "integer"));
  EXPECT_THAT([&] { metadata.String("a.bool"); }, FailsWith("'a.bool' is bool", "a string"));
  EXPECT_THAT([&] { metadata.Strings("a.numbers"); }, FailsWith("an array of int16", "strings"));
  EXPECT_THAT([&] { metadata.Integers("a.words"); }, FailsWith("an array of string", "integers"));
  EXPECT_THAT([&] { metadata.Bool("a.nested"); }, FailsWith("an array of array", "a bool"));
}

TEST_F(Gguf, NamesTheNearestTensorWhereOneIsAbsent) {
  const auto file = GgufFile::Open(Write(Small().Bytes()));
  EXPECT_THAT([&] { file.Get("frist"); }, FailsWith("model.gguf", "'frist'", "'first'"));
}

TEST_F(Gguf, KeepsTensorsOfZeroElementsAndScalars) {
  GgufBytes file;
  file.Tensor("none", {32, 0}, kTypeQ8, 0).Tensor("scalar", {}, kTypeF32, 0).Data(Raw(2.5F));
  const auto opened = GgufFile::Open(Write(file.Bytes()));
  EXPECT_EQ(opened.Get("none").sizes(), (at::IntArrayRef{0, 32}));
  EXPECT_EQ(opened.Get("scalar").item<float>(), 2.5F);
}

TEST_F(Gguf, OfVersionTwoIsReadAsVersionThree) {
  GgufBytes file = Small();
  file.version = 2;
  EXPECT_EQ(GgufFile::Open(Write(file.Bytes())).Get("second")[7].item<float>(), 15.0F);
}

// ---- damaged files

TEST_F(Gguf, IsRefusedAtEveryLengthBelowItsOwn) {
  const std::string whole = Small().Bytes();
  EXPECT_NO_THROW(Opening(whole)());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(Opening(whole.substr(0, size)), FailsWith("model.gguf")) << size;
  }
}

// Whatever a byte becomes, the file is read or refused.
TEST_F(Gguf, WithAnyByteChangedIsReadOrRefused) {
  const std::string whole = Small().Bytes();
  const size_t header = whole.size() - 64;
  for (size_t i = 0; i < header; ++i) {
    for (const char change : {'\x01', '\x80', '\xff'}) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ change);
      try {
        const auto file = GgufFile::Open(Write(bytes));
        for (const std::string& name : file.Names()) file.Get(name);
      } catch (const DataError&) {
      }
    }
  }
}

TEST_F(Gguf, IsRefusedWhenItIsSomethingElse) {
  EXPECT_THAT(Opening("PK\x03\x04 a zip archive"), FailsWith("504b0304", "not a GGUF file"));
  EXPECT_THAT(Opening("tjgg\x03"), FailsWith("before GGUF", "convert"));
  EXPECT_THAT(Opening("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"),
              FailsWith("Git LFS pointer"));
  EXPECT_THAT([&] { GgufFile::Open(folder_.path() / "absent.gguf"); }, FailsWith("absent.gguf"));
  EXPECT_THAT([&] { GgufFile::Open(folder_.path()); }, FailsWith("folder"));
}

TEST_F(Gguf, IsRefusedInOtherVersionsAndByteOrders) {
  GgufBytes file = Small();
  for (const uint32_t version : {0, 1, 4, 77}) {
    file.version = version;
    EXPECT_THAT(Opening(file), FailsWith(fmt::format("version {},", version), "2 or 3"));
  }
  file.version = 0x03000000;
  EXPECT_THAT(Opening(file), FailsWith("big-endian"));
}

TEST_F(Gguf, IsRefusedWithCountsThatTheFileCannotHold) {
  const std::string head = "GGUF" + Raw<uint32_t>(3);
  const std::string zeros(100, '\0');
  EXPECT_THAT(Opening(head + Raw(~uint64_t{0}) + zeros), FailsWith("18446744073709551615 tensors"));
  EXPECT_THAT(Opening(head + Raw<uint64_t>(0) + Raw(uint64_t{1} << 60) + zeros),
              FailsWith("1152921504606846976 metadata entries"));
  for (const Kind kind : {Kind::kUint8, Kind::kFloat64, Kind::kString, Kind::kArray}) {
    for (const uint64_t count : {~uint64_t{0}, uint64_t{1} << 61, uint64_t{100'000}}) {
      GgufBytes file;
      file.Entry("k", Kind::kArray, RawArray(kind, count)).Data(zeros);
      EXPECT_THAT(Opening(file),
                  FailsWith("metadata 'k'", fmt::format("{} array elements", count)));
    }
  }
}

TEST_F(Gguf, IsRefusedWithTextsThatTheFileCannotHold) {
  GgufBytes file;
  file.Entry("k", Kind::kString, Raw(~uint64_t{0}) + "abc");
  EXPECT_THAT(Opening(file), FailsWith("metadata 'k'", "18446744073709551615 bytes expected"));
  GgufBytes key;
  key.entries.push_back(Raw(uint64_t{1} << 40) + "abcdefghij");
  EXPECT_THAT(Opening(key), FailsWith("metadata entry 1 of 1", "1099511627776 bytes"));
}

TEST_F(Gguf, IsRefusedWithNamesThatAreEmptyTwiceOrNotText) {
  EXPECT_THAT(Opening(GgufBytes().Entry("", Kind::kBool, Raw<uint8_t>(1))), FailsWith("empty"));
  EXPECT_THAT(Opening(GgufBytes().Entry("a\xff", Kind::kBool, Raw<uint8_t>(1))),
              FailsWith("UTF-8"));
  EXPECT_THAT(Opening(GgufBytes().Uint16("k", 1).Uint16("k", 1)), FailsWith("'k'", "twice"));
  GgufBytes file;
  file.Tensor("t", {0}, kTypeF32, 0).Tensor("t", {0}, kTypeF32, 0);
  EXPECT_THAT(Opening(file), FailsWith("tensor 't'", "twice"));
}

TEST_F(Gguf, IsRefusedWithValuesOfUnknownTypeAndOtherBools) {
  EXPECT_THAT(Opening(GgufBytes().Entry("k", static_cast<Kind>(13), Raw<uint64_t>(0))),
              FailsWith("metadata 'k'", "value type 13"));
  EXPECT_THAT(Opening(GgufBytes().Entry("k", Kind::kArray, RawArray(static_cast<Kind>(99), 0))),
              FailsWith("metadata 'k'", "value type 99"));
  EXPECT_THAT(Opening(GgufBytes().Entry("k", Kind::kBool, Raw<uint8_t>(2))),
              FailsWith("metadata 'k'", "a bool is 2"));
  EXPECT_THAT(Opening(GgufBytes().Entry("k", Kind::kArray, RawArray(Kind::kBool, 2) + "\x01\x03")),
              FailsWith("metadata 'k'", "a bool is 3"));
}

TEST_F(Gguf, IsRefusedWithArraysNestedTooDeep) {
  const auto nested = [](int depth) {
    std::string bytes;
    for (int i = 1; i < depth; ++i) bytes += RawArray(Kind::kArray, 1);
    return GgufBytes().Entry("k", Kind::kArray, bytes + RawArray(Kind::kUint8, 1) + "x");
  };
  EXPECT_NO_THROW(Opening(nested(4))());
  EXPECT_THAT(Opening(nested(5)), FailsWith("metadata 'k'", "nested more than 4 deep"));
  EXPECT_THAT(Opening(nested(100'000)), FailsWith("metadata 'k'", "nested more than 4 deep"));
}

TEST_F(Gguf, IsRefusedWithTooManyStringsInArrays) {
  constexpr size_t kCount = (1 << 22) + 1;
  const std::string bytes = RawArray(Kind::kString, kCount) + std::string(8 * kCount, '\0');
  EXPECT_THAT(Opening(GgufBytes().Entry("k", Kind::kArray, bytes)),
              FailsWith("metadata 'k'", "more than 4194304 strings and arrays"));
}

TEST_F(Gguf, IsRefusedWithAnAlignmentThatIsNoPowerOfTwoFromEight) {
  for (const uint32_t alignment : {0u, 1u, 4u, 24u, 0xffffffffu}) {
    EXPECT_THAT(Opening(GgufBytes().Entry("general.alignment", Kind::kUint32, Raw(alignment))),
                FailsWith("general.alignment", fmt::format("{},", alignment)));
  }
  EXPECT_THAT(Opening(GgufBytes().Entry("general.alignment", Kind::kString, RawText("32"))),
              FailsWith("general.alignment", "string"));
}

TEST_F(Gguf, IsRefusedWithTensorsThatAreUnalignedOverlapOrEndOutside) {
  const auto two = [](uint64_t second, uint32_t type = kTypeF32) {
    return GgufBytes()
        .Tensor("a", {16}, kTypeF32, 0)
        .Tensor("b", {8}, type, second)
        .Data(std::string(96, '\0'));
  };
  EXPECT_NO_THROW(Opening(two(64))());
  EXPECT_THAT(Opening(two(65)), FailsWith("'b'", "65", "alignment 32"));
  EXPECT_THAT(Opening(two(32)), FailsWith("'a'", "'b'", "overlap"));
  EXPECT_THAT(Opening(two(0)), FailsWith("'a'", "'b'", "overlap"));
  EXPECT_THAT(Opening(two(96)), FailsWith("'b'", "32 bytes from 96", "96 bytes of data"));
  EXPECT_THAT(Opening(two(~uint64_t{0} - 31)), FailsWith("'b'", "18446744073709551584"));
  EXPECT_THAT(Opening(two(64, 16)), FailsWith("'b'", "IQ2_XXS", "not supported"));
  EXPECT_THAT(Opening(two(64, 1000)), FailsWith("'b'", "unknown type 1000"));
}

TEST_F(Gguf, IsRefusedWithImpossibleShapes) {
  const auto shaped = [](const std::vector<uint64_t>& sizes, uint32_t type) {
    return GgufBytes().Tensor("t", sizes, type, 0).Data(std::string(96, '\0'));
  };
  EXPECT_THAT(Opening(shaped({33}, kTypeQ8)), FailsWith("'t'", "rows of 33", "blocks of 32"));
  EXPECT_THAT(Opening(shaped({16, 2}, kTypeQ8)), FailsWith("'t'", "rows of 16"));
  EXPECT_THAT(Opening(shaped({1, 1, 1, 1, 1}, kTypeF32)), FailsWith("'t'", "5 dimensions"));
  const uint64_t half = uint64_t{1} << 32;
  for (const std::vector<uint64_t>& sizes :
       {std::vector<uint64_t>{half, half}, {~uint64_t{0}}, {uint64_t{1} << 62}, {half, half, 0}}) {
    EXPECT_THAT(Opening(shaped(sizes, kTypeF32)), FailsWith("'t'", "too large"));
  }
  EXPECT_THAT(Opening(shaped({uint64_t{1} << 40}, kTypeQ8)), FailsWith("'t'", "truncated"));
}

// ---- files that belong together

class SplitGguf : public Gguf {
 protected:
  // Part `number` of `count`, with one tensor.
  static GgufBytes Part(uint16_t number, uint16_t count, const std::string& tensor) {
    return GgufBytes()
        .Uint16("split.no", number)
        .Uint16("split.count", count)
        .Tensor(tensor, {1}, kTypeF32, 0)
        .Data(Raw(1.0F));
  }
  auto OpeningFirst() {
    return [path = folder_.path() / "m-00001-of-00002.gguf"] { GgufFile::Open(path); };
  }
  void WriteTwo(const GgufBytes& first, const GgufBytes& second) {
    Write(first.Bytes(), "m-00001-of-00002.gguf");
    Write(second.Bytes(), "m-00002-of-00002.gguf");
  }
};

TEST_F(SplitGguf, IsRefusedWhereAFileIsMissing) {
  Write(Part(0, 2, "a").Bytes(), "m-00001-of-00002.gguf");
  EXPECT_THAT(OpeningFirst(), FailsWith("one of 2 files", "m-00002-of-00002.gguf is missing"));
}

TEST_F(SplitGguf, IsRefusedWhereANameOccursTwice) {
  WriteTwo(Part(0, 2, "a"), Part(1, 2, "a"));
  EXPECT_THAT(OpeningFirst(), FailsWith("tensor 'a'", "m-00001-of-00002.gguf", "once"));
}

TEST_F(SplitGguf, IsRefusedWhereNumbersDisagree) {
  WriteTwo(Part(0, 2, "a"), Part(0, 2, "b"));
  EXPECT_THAT(OpeningFirst(), FailsWith("m-00002-of-00002.gguf", "split.no is 0"));
  WriteTwo(Part(0, 3, "a"), Part(1, 3, "b"));
  EXPECT_THAT(OpeningFirst(), FailsWith("m-00001-of-00002.gguf", "split.count is 3"));
  WriteTwo(Part(0, 2, "a"), GgufBytes());
  EXPECT_THAT(OpeningFirst(), FailsWith("m-00002-of-00002.gguf", "split.no is -1"));
  WriteTwo(Part(0, 2, "a").Entry("split.tensors.count", Kind::kInt32, Raw<int32_t>(3)),
           Part(1, 2, "b"));
  EXPECT_THAT(OpeningFirst(), FailsWith("split.tensors.count is 3", "hold 2"));
}

TEST_F(SplitGguf, IsRefusedUnderANameThatDoesNotSayWhichItIs) {
  EXPECT_THAT(Opening(Part(0, 2, "a")), FailsWith("one of 2 files", "NAME-00001-of-00002.gguf"));
}

TEST_F(SplitGguf, OfOneFileNeedsNoNumbers) {
  EXPECT_NO_THROW(GgufFile::Open(Write(Small().Bytes(), "m-00001-of-00001.gguf")));
  EXPECT_NO_THROW(GgufFile::Open(Write(Part(0, 1, "a").Bytes(), "m-00001-of-00001.gguf")));
  EXPECT_NO_THROW(GgufFile::Open(Write(Part(0, 1, "a").Bytes())));
}

}  // namespace
}  // namespace condense
