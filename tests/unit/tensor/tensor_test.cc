#include "tensor/tensor.h"

#include <ATen/Context.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace condense {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(DType, NamesRoundTrip) {
  for (const DType dtype : {kF64, kF32, kF16, kBF16}) {
    EXPECT_EQ(ParseDType(DTypeName(dtype)), dtype);
  }
  EXPECT_EQ(DTypeName(at::kBool), "bool");
}

TEST(DType, SuggestsTheNearestName) {
  EXPECT_THAT([] { ParseDType("bfloat61"); }, ThrowsMessage<ConfigError>(HasSubstr("bfloat16")));
}

TEST(ShapeString, ListsTheSizes) {
  EXPECT_EQ(ShapeString({192, 512}), "[192, 512]");
  EXPECT_EQ(ShapeString({}), "[]");
}

TEST(ConfigureTorch, SetsThreadsAndFullPrecision) {
  ConfigureTorch(1);
  EXPECT_EQ(TorchThreads(), 1);
  ConfigureTorch(0);
  EXPECT_GE(TorchThreads(), 1);
  const auto& context = at::globalContext();
  EXPECT_TRUE(context.deterministicAlgorithms());
  EXPECT_FALSE(context.deterministicFillUninitializedMemory());
  EXPECT_EQ(context.float32MatmulPrecision(), at::Float32MatmulPrecision::HIGHEST);
}

TEST(TorchVersion, IsTheLinkedRelease) { EXPECT_THAT(TorchVersion(), HasSubstr("2.")); }

TEST(InferenceScope, SwitchesGradientsOffAndBackOn) {
  {
    const InferenceScope scope;
    EXPECT_FALSE(at::GradMode::is_enabled());
  }
  EXPECT_TRUE(at::GradMode::is_enabled());
}

TEST(OpenDevice, GivesTheCpuAndRefusesUnknownNames) {
  EXPECT_TRUE(OpenDevice("cpu").is_cpu());
  for (const char* name : {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "CPU", ""}) {
    EXPECT_THAT([&] { OpenDevice(name); }, ThrowsMessage<ConfigError>(HasSubstr("cpu, cuda")));
  }
}

// A machine with a GPU and its libraries gives the device; every other one says what to do.
TEST(OpenDevice, SaysHowToGetAGpu) {
  try {
    EXPECT_TRUE(OpenDevice("cuda").is_cuda());
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("scripts/setup.sh --cuda"));
    EXPECT_THAT(error.what(), HasSubstr("device 'cpu'"));
  }
}

}  // namespace
}  // namespace condense
