#include "checkpoint/torch/torch_file.h"

#include <c10/util/Exception.h>
#include <caffe2/serialize/inline_container.h>
#include <caffe2/serialize/read_adapter_interface.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "base/error.h"
#include "base/strings.h"
#include "checkpoint/torch/pickle.h"

namespace condense {
namespace {

using caffe2::serialize::PyTorchStreamReader;

// Lets LibTorch's archive reader work on the map; a read past the end is short, which it reports.
class MapReader final : public caffe2::serialize::ReadAdapterInterface {
 public:
  explicit MapReader(std::string_view bytes) : bytes_(bytes) {}
  size_t size() const override { return bytes_.size(); }
  size_t read(uint64_t position, void* buffer, size_t count, const char*) const override {
    if (position >= bytes_.size()) return 0;
    const size_t available = std::min<size_t>(count, bytes_.size() - position);
    std::memcpy(buffer, bytes_.data() + position, available);
    return available;
  }

 private:
  std::string_view bytes_;
};

// As much of a name as is text.
std::string Readable(std::string_view name) {
  name = name.substr(0, 80);
  return std::string(name.substr(0, InvalidUtf8At(name).value_or(name.npos)));
}

uint64_t Unsigned(std::string_view bytes, size_t at, int width) {
  uint64_t value = 0;
  for (int i = width - 1; i >= 0; --i) {
    value = value << 8 | static_cast<uint8_t>(bytes[at + static_cast<size_t>(i)]);
  }
  return value;
}

// Where the archive's list of records begins; nullopt where LibTorch's reader will say what is wrong.
std::optional<uint64_t> DirectoryOf(std::string_view bytes) {
  const size_t end = bytes.rfind("PK\x05\x06");
  if (end == bytes.npos || bytes.size() - end < 22) return std::nullopt;
  const uint64_t begin = Unsigned(bytes, end + 16, 4);
  if (begin != 0xffffffff) return begin;
  // Of more than 4 GiB: a locator in front of the end names the place of the larger form.
  if (end < 20 || bytes.substr(end - 20, 4) != "PK\x06\x07") return std::nullopt;
  const uint64_t large = Unsigned(bytes, end - 12, 8);
  if (large > bytes.size() || bytes.size() - large < 56) return std::nullopt;
  return Unsigned(bytes, large + 48, 8);
}

// LibTorch's reader unpacks some records as soon as it is opened, of whatever size.
void RefuseLargeCompressedRecords(std::string_view bytes, const std::string& path) {
  constexpr uint64_t kEntry = 46, kLargest = 1 << 20;
  const auto begin = DirectoryOf(bytes);
  for (uint64_t at = begin.value_or(bytes.size());
       at < bytes.size() && bytes.size() - at >= kEntry && bytes.substr(at, 4) == "PK\x01\x02";) {
    const uint64_t name = Unsigned(bytes, at + 28, 2);
    const bool compressed = Unsigned(bytes, at + 10, 2) != 0;
    if (compressed && Unsigned(bytes, at + 24, 4) > kLargest) {
      throw MakeError<DataError>(
          "{}: the record '{}' is compressed; save the file again with torch.save", path,
          Readable(bytes.substr(at + kEntry, name)));
    }
    at += kEntry + name + Unsigned(bytes, at + 30, 2) + Unsigned(bytes, at + 32, 2);
  }
}

struct Record {
  uint64_t offset = 0, bytes = 0;
};

class Archive {
 public:
  explicit Archive(const MappedFile& file)
      : file_(file),
        path_(file.path().string()),
        reader_(std::make_shared<MapReader>(file.bytes())) {}

  bool Has(const std::string& name) { return reader_.hasRecord(name); }

  // The place of a record. Only stored records can be mapped, and torch.save compresses none.
  Record Find(const std::string& name) {
    if (!reader_.hasRecord(name)) {
      throw MakeError<DataError>("{}: the record '{}' is missing", path_, name);
    }
    constexpr uint64_t kLocalHeader = 30;
    constexpr uint64_t kMethodAt = 8;
    const std::string_view bytes = file_.bytes();
    const uint64_t header = reader_.getRecordHeaderOffset(name);
    if (header > bytes.size() || bytes.size() - header < kLocalHeader) OutOfFile(name);
    if (bytes[header + kMethodAt] != 0 || bytes[header + kMethodAt + 1] != 0) {
      throw MakeError<DataError>(
          "{}: the record '{}' is compressed; save the file again with torch.save", path_, name);
    }
    const Record record{reader_.getRecordOffset(name), reader_.getRecordSize(name)};
    if (record.offset > bytes.size() || bytes.size() - record.offset < record.bytes)
      OutOfFile(name);
    return record;
  }

  std::string_view Bytes(const std::string& name) {
    const Record record = Find(name);
    return file_.bytes().substr(record.offset, record.bytes);
  }

 private:
  [[noreturn]] void OutOfFile(const std::string& name) const {
    throw MakeError<DataError>("{}: the record '{}' ends past the end of the file", path_, name);
  }

  const MappedFile& file_;
  std::string path_;
  PyTorchStreamReader reader_;
};

void RequireZip(const MappedFile& file) {
  RefuseLfsPointer(file);
  if (file.bytes().starts_with("PK\x03\x04")) return;
  const std::string path = file.path().string();
  // The pickled number 0x1950a86a20f9469cfc6c with which torch.save began files before 1.6.
  const std::string_view legacy("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14);
  if (file.bytes().starts_with(legacy)) {
    throw MakeError<DataError>(
        "{0}: in the format used before PyTorch 1.6, which cannot be read; convert it with: python "
        "-c \"import torch; torch.save(torch.load('{0}', map_location='cpu', weights_only=True), "
        "'{0}')\"",
        path);
  }
  throw MakeError<DataError>(
      "{}: not a torch file (a zip archive begins with 'PK'); copy it again, or save the weights "
      "as model.safetensors",
      path);
}

// Number of elements from the beginning of the storage to the last one that the tensor uses.
std::optional<int64_t> ElementsTouched(const PickledTensor& tensor) {
  const auto count = ElementCount(tensor.shape);
  if (!count) return std::nullopt;
  int64_t end = tensor.offset;
  if (*count == 0) return end;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    int64_t step = 0;
    if (__builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &step) ||
        __builtin_add_overflow(end, step, &end)) {
      return std::nullopt;
    }
  }
  return __builtin_add_overflow(end, 1, &end) ? std::nullopt : std::optional(end);
}

bool IsRowMajor(const PickledTensor& tensor) {
  int64_t expected = 1;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

StoredTensor Place(const PickledTensor& tensor, const Record& record, const std::string& path) {
  const auto width = static_cast<uint64_t>(c10::elementSize(tensor.dtype));
  const auto held = static_cast<int64_t>(record.bytes / width);
  if (tensor.storage_elements != held) {
    throw MakeError<DataError>(
        "{}: the record of tensor '{}' has {} bytes, expected {} elements of {}; the file is "
        "damaged",
        path, tensor.name, record.bytes, tensor.storage_elements, DTypeName(tensor.dtype));
  }
  const auto touched = ElementsTouched(tensor);
  // An expanded tensor (stride 0) may have more elements than its record; no weight is one.
  if (!touched || *touched > held || *ElementCount(tensor.shape) > held) {
    throw MakeError<DataError>(
        "{}: tensor '{}' of shape {} reaches past its record of {} bytes; the file is damaged",
        path, tensor.name, ShapeString(tensor.shape), record.bytes);
  }
  StoredTensor stored{.name = tensor.name, .dtype = tensor.dtype, .shape = tensor.shape};
  if (!IsRowMajor(tensor)) stored.strides = tensor.strides;
  stored.offset = record.offset + static_cast<uint64_t>(tensor.offset) * width;
  const bool empty = *ElementCount(tensor.shape) == 0;
  stored.bytes = empty ? 0 : static_cast<uint64_t>(*touched - tensor.offset) * width;
  return stored;
}

std::vector<StoredTensor> ReadArchive(const MappedFile& file) {
  const std::string path = file.path().string();
  RefuseLargeCompressedRecords(file.bytes(), path);
  Archive archive(file);
  if (archive.Has("byteorder") && archive.Bytes("byteorder") != "little") {
    throw MakeError<DataError>(
        "{}: written on a big-endian machine; only little-endian is supported", path);
  }
  std::map<std::string, StoredTensor> tensors;
  for (const PickledTensor& pickled : ReadPickledTensors(archive.Bytes("data.pkl"), path)) {
    const Record record = archive.Find("data/" + pickled.storage);
    if (!tensors.emplace(pickled.name, Place(pickled, record, path)).second) {
      throw MakeError<DataError>("{}: tensor '{}' occurs twice", path, pickled.name);
    }
  }
  std::vector<StoredTensor> sorted;
  for (auto& [name, tensor] : tensors) sorted.push_back(std::move(tensor));
  return sorted;
}

}  // namespace

std::vector<StoredTensor> ReadTorchFile(const MappedFile& file) {
  RequireZip(file);
  try {
    return ReadArchive(file);
  } catch (const c10::Error& error) {
    const std::string reason = error.what_without_backtrace();
    throw MakeError<DataError>("{}: truncated or not written by torch.save: {}",
                               file.path().string(), reason.substr(0, reason.find('\n')));
  }
}

}  // namespace condense
