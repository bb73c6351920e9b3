#include "data/samplers/torch_draws.h"

namespace condense {

at::Generator TorchGenerator(uint64_t seed) { return at::detail::createCPUGenerator(seed); }

int64_t TorchRandInt(int64_t bound, const at::Generator& generator) {
  return at::randint(bound, {1}, generator, at::TensorOptions().dtype(kI64)).item<int64_t>();
}

std::vector<int64_t> TorchPermutation(int64_t count, const at::Generator& generator) {
  const Tensor order = at::randperm(count, generator, at::TensorOptions().dtype(kI64));
  const int64_t* values = order.const_data_ptr<int64_t>();
  return {values, values + count};
}

}  // namespace condense
