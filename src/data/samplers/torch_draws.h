// Random numbers of LibTorch's CPU generator, for the samplers that imitate PyTorch programs.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace condense {

// A generator of LibTorch's CPU kind, independent of the process-wide one. It gives the numbers
// that PyTorch programs see after torch.manual_seed(seed) (protocols.md 10.3).
at::Generator TorchGenerator(uint64_t seed);
int64_t TorchRandInt(int64_t bound, const at::Generator& generator);  // [0, bound)
std::vector<int64_t> TorchPermutation(int64_t count, const at::Generator& generator);

}  // namespace condense
