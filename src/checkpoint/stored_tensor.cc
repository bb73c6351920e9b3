#include "checkpoint/stored_tensor.h"

#include <cstring>

#include "base/error.h"

namespace condense {

std::optional<int64_t> ElementCount(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  bool empty = false;
  for (const int64_t size : shape) {
    if (size < 0) return std::nullopt;
    if (size == 0) {
      empty = true;  // the other dimensions must be valid nevertheless
    } else if (__builtin_mul_overflow(count, size, &count)) {
      return std::nullopt;
    }
  }
  return empty ? 0 : count;
}

Tensor ViewStored(const std::shared_ptr<const MappedFile>& file, const StoredTensor& stored) {
  const auto options = at::TensorOptions().dtype(stored.dtype);
  if (stored.bytes == 0) return at::empty(stored.shape, options);
  void* data = const_cast<char*>(file->bytes().data()) + stored.offset;
  const auto width = static_cast<uint64_t>(c10::elementSize(stored.dtype));
  const auto count = static_cast<int64_t>(stored.bytes / width);
  Tensor flat;  // [elements]
  if (stored.dtype == at::kBool) {
    // Any other byte than 0 and 1 in a bool is undefined behaviour; the file may hold others.
    flat = at::from_blob(data, count, at::kByte).ne(0);
  } else if (reinterpret_cast<uintptr_t>(data) % width != 0) {
    flat = at::empty(count, options);
    std::memcpy(flat.data_ptr(), data, stored.bytes);
  } else {
    flat = at::from_blob(
        data, count, [file](void*) {}, options);
  }
  if (stored.strides.empty()) return flat.view(stored.shape);
  return flat.as_strided(stored.shape, stored.strides).contiguous();
}

void RefuseLfsPointer(const MappedFile& file) {
  if (!file.bytes().starts_with("version https://git-lfs.github.com/spec/")) return;
  throw MakeError<DataError>(
      "{}: holds only a Git LFS pointer; fetch the file itself with: git lfs pull",
      file.path().string());
}

}  // namespace condense
