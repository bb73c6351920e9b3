// The only door to LibTorch: other modules include this header, not LibTorch's own.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <string>
#include <string_view>

namespace condense {

using Tensor = at::Tensor;
using DType = at::ScalarType;
using Device = at::Device;

inline constexpr DType kF64 = at::kDouble;
inline constexpr DType kF32 = at::kFloat;
inline constexpr DType kF16 = at::kHalf;
inline constexpr DType kBF16 = at::kBFloat16;
inline constexpr DType kI64 = at::kLong;
inline constexpr DType kI32 = at::kInt;

// "float32", "float16", "bfloat16", "float64"; ConfigError for another name.
DType ParseDType(std::string_view name);
std::string DTypeName(DType dtype);
// "[192, 512]"
std::string ShapeString(at::IntArrayRef shape);

// "cpu" or "cuda[:index]". Asking for "cuda" opens the GPU back end (libtorch_cuda) on first use;
// ConfigError, with what to install, where there is none.
Device OpenDevice(std::string_view name);

// Sets up LibTorch for the whole process: thread count (0: the machine's physical cores), TF32 and
// reduced-precision accumulation off, deterministic kernels.
void ConfigureTorch(int threads);
int TorchThreads();
std::string TorchVersion();  // "2.11.0"

// No gradients are recorded while one of these lives. Code that trains does not create one.
class InferenceScope {
 public:
  InferenceScope();
  ~InferenceScope();

 private:
  at::AutoGradMode guard_;
};

}  // namespace condense
