// Opens the GPU back end at run time, so that one binary serves machines with and without a GPU.
//
// libtorch_cuda registers its kernels and hooks while it is loaded. LibTorch looks the hooks up
// once, the first time anything asks for them, so OpenDevice("cuda") has to come before GPU work;
// it asks for nothing itself until the library is in.
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>
#include <link.h>

#include <charconv>
#include <filesystem>
#include <mutex>
#include <optional>

#include "base/error.h"
#include "tensor/tensor.h"

namespace condense {
namespace {

// The folder that the running program took libtorch_cpu from; the back ends lie beside it.
std::filesystem::path LibTorchFolder() {
  void* handle = ::dlopen("libtorch_cpu.so", RTLD_NOW | RTLD_NOLOAD);
  CONDENSE_CHECK(handle != nullptr, "libtorch_cpu.so is not loaded");
  link_map* map = nullptr;
  const int failed = ::dlinfo(handle, RTLD_DI_LINKMAP, &map);
  ::dlclose(handle);
  CONDENSE_CHECK(failed == 0 && map != nullptr, "libtorch_cpu.so has no link map");
  return std::filesystem::path(map->l_name).parent_path();
}

void LoadCudaBackEnd() {
  const auto folder = LibTorchFolder();
  const auto library = folder / "libtorch_cuda.so";
  if (!std::filesystem::exists(library)) {
    throw MakeError<ConfigError>(
        "device 'cuda': {} is missing; run scripts/setup.sh --cuda, or use device 'cpu'",
        library.string());
  }
  // libc10_cuda comes with it as a dependency; the solvers' library, libtorch_cuda_linalg, is
  // opened by LibTorch itself at the first decomposition.
  if (::dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    throw MakeError<ConfigError>(
        "device 'cuda': cannot load {}: {}; run scripts/setup.sh --cuda to install what it needs, "
        "or use device 'cpu'",
        library.string(), ::dlerror());
  }
}

int CountGpus() {
  const auto& hooks = at::detail::getCUDAHooks();
  return hooks.hasCUDA() ? hooks.getNumGPUs() : 0;
}

// The number after "cuda:", 0 for plain "cuda".
std::optional<int> ParseCudaIndex(std::string_view name) {
  if (name == "cuda") return 0;
  if (!name.starts_with("cuda:")) return std::nullopt;
  const std::string_view digits = name.substr(5);
  int index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  if (!whole || index < 0 || index > 127) return std::nullopt;
  return index;
}

}  // namespace

Device OpenDevice(std::string_view name) {
  if (name == "cpu") return Device(at::kCPU);
  const std::optional<int> index = ParseCudaIndex(name);
  if (!index) {
    throw MakeError<ConfigError>("unknown device '{}'; allowed: cpu, cuda, cuda:N", name);
  }
  static std::once_flag loaded;
  std::call_once(loaded, LoadCudaBackEnd);
  const int gpus = CountGpus();
  if (gpus == 0) {
    throw MakeError<ConfigError>(
        "device '{}': no usable GPU found (is the NVIDIA driver installed, and does nvidia-smi "
        "list a GPU? scripts/setup.sh --cuda installs the libraries, not the driver); use device "
        "'cpu'",
        name);
  }
  if (*index >= gpus) {
    throw MakeError<ConfigError>(
        "device '{}': this machine has {} GPU(s); allowed: cuda:0 to cuda:{}", name, gpus,
        gpus - 1);
  }
  return Device(at::kCUDA, static_cast<c10::DeviceIndex>(*index));
}

}  // namespace condense
