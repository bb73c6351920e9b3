#include "checkpoint/torch/pickle.h"

#include <array>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "checkpoint/stored_tensor.h"
#include "checkpoint/torch/pickle_machine.h"

namespace condense {
namespace {

constexpr std::array<std::pair<std::string_view, DType>, 10> kStorages{
    {{"torch DoubleStorage", at::kDouble},
     {"torch FloatStorage", at::kFloat},
     {"torch HalfStorage", at::kHalf},
     {"torch BFloat16Storage", at::kBFloat16},
     {"torch LongStorage", at::kLong},
     {"torch IntStorage", at::kInt},
     {"torch ShortStorage", at::kShort},
     {"torch CharStorage", at::kChar},
     {"torch ByteStorage", at::kByte},
     {"torch BoolStorage", at::kBool}}};

bool IsAllowed(std::string_view name) {
  for (const auto& [storage, dtype] : kStorages) {
    if (storage == name) return true;
  }
  return name == "collections OrderedDict" || name == "torch._utils _rebuild_tensor_v2" ||
         name == "torch._utils _rebuild_parameter" ||
         name == "torch.jit._pickle restore_type_tag";  // written by LibTorch's own pickle_save
}

using Kind = PickleValue::Kind;

// Follows a tensor's construction to its description; `where` names the tensor.
class TensorReader {
 public:
  explicit TensorReader(std::string where) : where_(std::move(where)) {}

  // _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata])
  PickledTensor Read(const PickleValue& value) const {
    if (value.kind != Kind::kCall || value.text != "torch._utils _rebuild_tensor_v2") {
      throw MakeError<DataError>(
          "{}: is not a tensor; only a dictionary of tensors (a state dict) can be read", where_);
    }
    if (value.items.size() < 5) Fail("the tensor has too few fields");
    PickledTensor tensor;
    ReadStorage(*value.items[0], tensor);
    tensor.offset = Integer(*value.items[1]);
    tensor.shape = Integers(*value.items[2]);
    tensor.strides = Integers(*value.items[3]);
    if (tensor.shape.size() != tensor.strides.size()) Fail("shape and strides differ in length");
    return tensor;
  }

 private:
  [[noreturn]] void Fail(std::string_view problem) const {
    throw MakeError<DataError>("{}: malformed pickle: {}", where_, problem);
  }

  // ('storage', torch.FloatStorage, key, location, number of elements)
  void ReadStorage(const PickleValue& value, PickledTensor& tensor) const {
    if (value.kind != Kind::kPersistent || value.items.size() < 5) Fail("no storage reference");
    const PickleValue& type = *value.items[1];
    for (const auto& [storage, dtype] : kStorages) {
      if (type.kind != Kind::kGlobal || storage != type.text) continue;
      tensor.dtype = dtype;
      if (value.items[2]->kind != Kind::kString) Fail("the key of a storage is not a string");
      tensor.storage = value.items[2]->text;
      tensor.storage_elements = Integer(*value.items[4]);
      return;
    }
    Fail("unknown type of storage");
  }

  int64_t Integer(const PickleValue& value) const {
    if (value.kind != Kind::kInteger || value.number < 0) Fail("expected a number from 0");
    return value.number;
  }

  std::vector<int64_t> Integers(const PickleValue& value) const {
    if (value.kind != Kind::kSequence) Fail("expected a tuple of numbers");
    std::vector<int64_t> numbers;
    for (const PickleValue* item : value.items) numbers.push_back(Integer(*item));
    return numbers;
  }

  std::string where_;
};

}  // namespace

std::vector<PickledTensor> ReadPickledTensors(std::string_view bytes, const std::string& where) {
  PickleMachine machine(bytes, where, IsAllowed);
  const PickleValue& top = machine.Run();
  if (top.kind != Kind::kDictionary) {
    throw MakeError<DataError>("{}: holds no dictionary of tensors (a state dict)", where);
  }
  std::vector<PickledTensor> tensors;
  for (size_t i = 0; i + 1 < top.items.size(); i += 2) {
    const PickleValue& key = *top.items[i];
    if (key.kind != Kind::kString || InvalidUtf8At(key.text)) {
      throw MakeError<DataError>("{}: entry {} has a key that is not a string", where, i / 2);
    }
    tensors.push_back(
        TensorReader(fmt::format("{}: '{}'", where, key.text)).Read(*top.items[i + 1]));
    tensors.back().name = key.text;
  }
  return tensors;
}

}  // namespace condense
