// Safetensors files, good and lying, through ReadTensors and WriteTensors.
#include "checkpoint/safetensors.h"

#include <gtest/gtest.h>

#include "checkpoint/checkpoint_writer.h"
#include "support/temp_folder.h"
#include "unit/checkpoint/raw_files.h"

namespace condense {
namespace {

class SafetensorsFile : public ::testing::Test {
 protected:
  // A matcher's subject: reads a file of this header and data.
  std::function<void()> Reading(std::string_view header, std::string_view data) {
    return ReadingBytes(SafetensorsBytes(header, data));
  }
  std::function<void()> ReadingBytes(std::string_view bytes) {
    WriteFileAtomically(path_, bytes);
    return [path = path_] { ReadTensors(path); };
  }

  TempFolder folder_;
  std::filesystem::path path_ = folder_.path() / "weights.safetensors";
};

TEST_F(SafetensorsFile, IsReadInEveryDType) {
  for (const DType dtype :
       {kF64, kF32, kF16, kBF16, kI64, kI32, at::kShort, at::kChar, at::kByte}) {
    const Tensor written = at::arange(6, at::TensorOptions().dtype(dtype)).view({2, 3});
    WriteTensors(path_, {{"t", written}});
    const Tensor read = ReadTensors(path_).at("t");
    EXPECT_EQ(read.scalar_type(), dtype);
    EXPECT_TRUE(at::equal(read, written)) << DTypeName(dtype);
  }
  WriteTensors(path_, {{"mask", at::tensor({1, 0, 1}).to(at::kBool)}});
  EXPECT_TRUE(at::equal(ReadTensors(path_).at("mask"), at::tensor({1, 0, 1}).to(at::kBool)));
}

TEST_F(SafetensorsFile, HoldsScalarsAndEmptyTensors) {
  WriteTensors(path_, {{"scalar", at::scalar_tensor(2.5)}, {"empty", at::zeros({0, 7})}});
  const auto tensors = ReadTensors(path_);
  EXPECT_EQ(tensors.at("scalar").item<double>(), 2.5);
  EXPECT_EQ(tensors.at("empty").sizes(), (at::IntArrayRef{0, 7}));
}

TEST_F(SafetensorsFile, StoresViewsInRowMajorOrder) {
  const Tensor t = at::arange(6, kF32).view({2, 3}).t();
  WriteTensors(path_, {{"t", t}});
  EXPECT_TRUE(at::equal(ReadTensors(path_).at("t"), t));
}

TEST_F(SafetensorsFile, IsTheSameForTheSameTensors) {
  const std::map<std::string, Tensor> tensors{
      {"a", at::arange(3).to(at::kByte)}, {"b", at::arange(4, kF32)}, {"c", at::arange(2, kF64)}};
  WriteTensors(path_, tensors, {{"format", "pt"}, {"note", "x"}});
  const std::string first = ReadFile(path_);
  WriteTensors(path_, ReadTensors(path_), {{"note", "x"}, {"format", "pt"}});
  EXPECT_EQ(ReadFile(path_), first);
}

TEST_F(SafetensorsFile, KeepsItsMapAliveForItsTensors) {
  WriteTensors(path_, {{"a", Floats({1, 2, 3})}});
  const Tensor a = ReadTensors(path_).at("a");
  std::filesystem::remove(path_);
  EXPECT_TRUE(at::equal(a, Floats({1, 2, 3})));
}

TEST_F(SafetensorsFile, IsCopiedWhereItsBytesAreNotAligned) {
  const float value = 1.5F;
  std::string data("\x01", 1);
  data.append(reinterpret_cast<const char*>(&value), sizeof value);
  WriteSafetensors(path_,
                   R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                   R"("b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})",
                   data);
  const Tensor b = ReadTensors(path_).at("b");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b.data_ptr()) % 4, 0u);
  EXPECT_EQ(b.item<float>(), 1.5F);
}

TEST_F(SafetensorsFile, MayEndItsHeaderInSpacesAndHaveUnknownFields) {
  WriteSafetensors(path_, R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}    )",
                   "z");
  EXPECT_EQ(ReadTensors(path_).at("a").item<int64_t>(), 'z');
}

TEST_F(SafetensorsFile, IsRefusedWhenTruncated) {
  const std::string whole =
      SafetensorsBytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "12345678");
  EXPECT_THAT(ReadingBytes(""), FailsWith("weights.safetensors", "truncated"));
  EXPECT_THAT(ReadingBytes(whole.substr(0, 7)), FailsWith("truncated", "7 bytes"));
  EXPECT_THAT(ReadingBytes(whole.substr(0, 30)), FailsWith("truncated", "header claims 54"));
  EXPECT_THAT(ReadingBytes(whole.substr(0, whole.size() - 1)), FailsWith("'a'", "7 bytes"));
}

TEST_F(SafetensorsFile, IsRefusedWithAHugeHeaderLength) {
  EXPECT_THAT(ReadingBytes(std::string(8, '\xff') + "{}"), FailsWith("18446744073709551615"));
  EXPECT_THAT(ReadingBytes(std::string("\x01\xe1\xf5\x05\0\0\0\0", 8) + "{}"),
              FailsWith("100000001", "100000000"));
}

TEST_F(SafetensorsFile, IsRefusedWithAHeaderThatIsNoJsonObject) {
  EXPECT_THAT(Reading("not json", ""), FailsWith("header", "not valid JSON"));
  EXPECT_THAT(Reading("[1, 2]", ""), FailsWith("not a JSON object"));
  EXPECT_THAT(Reading("{\"a\":", ""), FailsWith("not valid JSON"));
  EXPECT_THAT(Reading("", ""), FailsWith("not valid JSON"));
  EXPECT_THAT(Reading(R"({"a": 5})", ""), FailsWith("'a'", "expected an object"));
}

TEST_F(SafetensorsFile, IsRefusedWithANameTwice) {
  EXPECT_THAT(Reading(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                      R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                      "xy"),
              FailsWith("weights.safetensors", "\"a\"", "twice"));
}

TEST_F(SafetensorsFile, IsRefusedWithAnUnknownOrUnsupportedDType) {
  EXPECT_THAT(Reading(R"({"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", "1234"),
              FailsWith("'a'", "'F33'", "known", "BF16"));
  for (const char* name : {"F8_E4M3", "F8_E5M2"}) {
    const auto header =
        fmt::format(R"({{"a":{{"dtype":"{}","shape":[4],"data_offsets":[0,4]}}}})", name);
    EXPECT_THAT(Reading(header, "1234"), FailsWith("'a'", name, "not supported", "convert"));
  }
  EXPECT_THAT(Reading(R"({"a":{"dtype":5,"shape":[1],"data_offsets":[0,4]}})", "1234"),
              FailsWith("dtype is 5"));
  EXPECT_THAT(Reading(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", "1234"),
              FailsWith("no 'dtype'"));
}

TEST_F(SafetensorsFile, IsRefusedWhenAShapeDoesNotMatchItsBytes) {
  EXPECT_THAT(Reading(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", "12345678"),
              FailsWith("'a'", "[3]", "12 bytes", "span 8"));
}

TEST_F(SafetensorsFile, IsRefusedWithImpossibleDimensions) {
  for (const char* shape : {"[-1]", "[1.5]", "[\"2\"]", "[18446744073709551615]", "[null]"}) {
    const auto header =
        fmt::format(R"({{"a":{{"dtype":"U8","shape":{},"data_offsets":[0,1]}}}})", shape);
    EXPECT_THAT(Reading(header, "x"), FailsWith("'a'", "dimension")) << shape;
  }
  // The products overflow: to 0 in 64 bits, and only once multiplied by the width.
  for (const char* shape :
       {"[4294967296,4294967296]", "[2305843009213693952]", "[0,4294967296,4294967296]"}) {
    const auto header =
        fmt::format(R"({{"a":{{"dtype":"F64","shape":{},"data_offsets":[0,0]}}}})", shape);
    EXPECT_THAT(Reading(header, ""), FailsWith("'a'", "too large")) << shape;
  }
  EXPECT_THAT(Reading(R"({"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", "x"),
              FailsWith("'a'", "shape is 1"));
}

TEST_F(SafetensorsFile, IsRefusedWithOffsetsPastTheEnd) {
  EXPECT_THAT(Reading(R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})", "12345678"),
              FailsWith("'a'", "end at 9", "8 bytes"));
  EXPECT_THAT(Reading(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":)"
                      R"([18446744073709551614,18446744073709551615]}})",
                      "x"),
              FailsWith("'a'", "end at 18446744073709551615"));
}

TEST_F(SafetensorsFile, IsRefusedWithMalformedOffsets) {
  for (const char* offsets : {"[2,1]", "[0]", "[0,1,2]", "[-1,0]", "\"0,1\"", "[0.5,1]", "{}"}) {
    const auto header =
        fmt::format(R"({{"a":{{"dtype":"U8","shape":[1],"data_offsets":{}}}}})", offsets);
    EXPECT_THAT(Reading(header, "xy"), FailsWith("'a'", "data_offsets")) << offsets;
  }
}

TEST_F(SafetensorsFile, IsRefusedWithOverlapsAndGaps) {
  const auto two = [](int begin) {
    return fmt::format(R"({{"a":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}},)"
                       R"("b":{{"dtype":"U8","shape":[4],"data_offsets":[{},{}]}}}})",
                       begin, begin + 4);
  };
  EXPECT_THAT(Reading(two(3), "1234567"), FailsWith("'a'", "'b'", "overlap"));
  EXPECT_THAT(Reading(two(0), "1234"), FailsWith("'a'", "'b'", "overlap"));
  EXPECT_THAT(Reading(two(5), "123456789"), FailsWith("gap of 1 bytes", "'b'"));
  EXPECT_THAT(Reading(two(4), "12345678tail"), FailsWith("4 bytes at the end"));
  EXPECT_NO_THROW(Reading(two(4), "12345678")());
}

TEST_F(SafetensorsFile, IsRefusedWhenItIsAnLfsPointer) {
  EXPECT_THAT(ReadingBytes("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"),
              FailsWith("Git LFS pointer", "git lfs pull"));
}

TEST_F(SafetensorsFile, ReadsBoolsThatAreNeitherZeroNorOne) {
  WriteSafetensors(path_, R"({"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})",
                   std::string("\x07\0", 2));
  EXPECT_TRUE(
      at::equal(ReadTensors(path_).at("a").to(at::kByte), at::tensor({1, 0}).to(at::kByte)));
}

}  // namespace
}  // namespace condense
