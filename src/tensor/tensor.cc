// Names of dtypes, and the process-wide settings of LibTorch that make results repeatable.
#include "tensor/tensor.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <fmt/ranges.h>
#include <malloc.h>
#include <torch/version.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "base/system.h"

namespace condense {
namespace {

constexpr std::array<std::pair<std::string_view, DType>, 4> kFloatNames{
    {{"float32", kF32}, {"float16", kF16}, {"bfloat16", kBF16}, {"float64", kF64}}};

// Cores that this process may use: a container is often given fewer than the machine has.
int UsableCores() {
  const int allowed = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  return std::min(PhysicalCores(), allowed);
}

void RequireRepeatableKernels() {
  auto& context = at::globalContext();
  context.setDeterministicAlgorithms(/*b=*/true, /*warn_only=*/false);
  // Only a debugging aid: deterministic mode would otherwise fill every new tensor with NaN.
  context.setDeterministicFillUninitializedMemory(false);
  context.setBenchmarkCuDNN(false);
  context.setDeterministicCuDNN(true);
  context.setDeterministicMkldnn(true);
  // cuBLAS is deterministic only with a fixed workspace; it reads this when it starts.
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
}

void RequireFullPrecision() {
  auto& context = at::globalContext();
  context.setFloat32MatmulPrecision("highest");
  context.setAllowTF32CuBLAS(false);
  context.setAllowTF32CuDNN(false);
  context.setAllowFP16ReductionCuBLAS(false);
  context.setAllowBF16ReductionCuBLAS(false);
  context.setAllowFP16AccumulationCuBLAS(false);
  context.setAllowFP16ReductionCPU(false);
}

// Activations are allocated and freed by the megabyte, block after block. glibc returns such memory
// to the kernel each time, which then clears every page anew: a seventh of the time of a small
// model. Larger blocks (weights) stay mapped one by one and are returned at once.
void KeepFreedMemory() {
#ifdef __GLIBC__
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 512 << 20);
#endif
}

}  // namespace

DType ParseDType(std::string_view name) {
  for (const auto& [known, dtype] : kFloatNames) {
    if (known == name) return dtype;
  }
  std::vector<std::string> names;
  for (const auto& [known, dtype] : kFloatNames) names.emplace_back(known);
  throw MakeError<ConfigError>("unknown number type '{}'{}", name, SuggestName(name, names));
}

std::string DTypeName(DType dtype) {
  for (const auto& [known, value] : kFloatNames) {
    if (value == dtype) return std::string(known);
  }
  switch (dtype) {
    case at::kLong:
      return "int64";
    case at::kInt:
      return "int32";
    case at::kShort:
      return "int16";
    case at::kChar:
      return "int8";
    case at::kByte:
      return "uint8";
    case at::kBool:
      return "bool";
    default:
      return at::toString(dtype);
  }
}

std::string ShapeString(at::IntArrayRef shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

void ConfigureTorch(int threads) {
  CONDENSE_CHECK(threads >= 0, "{} threads", threads);
  at::set_num_threads(threads > 0 ? threads : UsableCores());
  // Nothing here runs operators concurrently; LibTorch allows this setting once in a process.
  [[maybe_unused]] static const bool once = [] {
    at::set_num_interop_threads(1);
    return true;
  }();
  KeepFreedMemory();
  RequireRepeatableKernels();
  RequireFullPrecision();
}

int TorchThreads() { return at::get_num_threads(); }

std::string TorchVersion() {
  return fmt::format("{}.{}.{}", TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR, TORCH_VERSION_PATCH);
}

InferenceScope::InferenceScope() : guard_(/*enabled=*/false) {}
InferenceScope::~InferenceScope() = default;

}  // namespace condense
