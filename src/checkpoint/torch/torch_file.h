// Torch .bin files: a zip archive of a pickle (data.pkl) and one record per storage (data/0, ...),
// as torch.save has written them since PyTorch 1.6.
#pragma once

#include <vector>

#include "checkpoint/stored_tensor.h"

namespace condense {

// Every tensor of the file, sorted by name. The pickle is not executed (pickle.h) and no tensor
// bytes are read. DataError when a tensor does not fit its record, the archive is malformed, or the
// file has the format used before PyTorch 1.6.
std::vector<StoredTensor> ReadTorchFile(const MappedFile& file);

}  // namespace condense
