#include "checkpoint/torch/pickle.h"

#include <array>
#include <filesystem>
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
  TensorReader(std::string where, const std::string& advice)
      : where_(std::move(where)), advice_(advice) {}

  // _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata])
  PickledTensor Read(const PickleValue& value) const {
    if (value.kind != Kind::kCall || value.text != "torch._utils _rebuild_tensor_v2") {
      throw MakeError<DataError>(
          "{}: is not a tensor; only a dictionary of tensors (a state dict) can be read{}", where_,
          advice_);
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
  const std::string& advice_;
};

// Nobody trusts a file of weights that asks for these.
bool RunsCommands(std::string_view name) {
  const std::string_view module = name.substr(0, name.find(' '));
  for (const std::string_view known : {"os", "posix", "nt", "sys", "subprocess", "builtins",
                                       "__builtin__", "runpy", "importlib"}) {
    if (module == known) return true;
  }
  return false;
}

// How to make a file that can be read out of one with a whole module, or with tensors among other
// things. It runs what the pickle asks for, which this program never does.
std::string Advice(const std::string& where) {
  const std::string folder = std::filesystem::path(where).parent_path().string();
  return fmt::format(
      "; if you trust the file, write its tensors to safetensors with: python -c \"import torch; "
      "from safetensors.torch import save_file; m = torch.load('{}', map_location='cpu', "
      "weights_only=False); m = m.get('state_dict', m.get('model', m)) if isinstance(m, dict) else "
      "m; m = m.state_dict() if hasattr(m, 'state_dict') else m; save_file({{k: "
      "v.clone().contiguous() for k, v in m.items() if torch.is_tensor(v)}}, "
      "'{}model.safetensors')\"",
      where, folder.empty() ? "" : folder + "/");
}

// Training programs put the state dict beside other things, under one of these keys.
const PickleValue& StateDictIn(const PickleValue& top) {
  for (const char* name : {"state_dict", "model_state_dict", "model", "module"}) {
    for (size_t i = 0; i + 1 < top.items.size(); i += 2) {
      const bool named = top.items[i]->kind == Kind::kString && top.items[i]->text == name;
      if (named && top.items[i + 1]->kind == Kind::kDictionary) return *top.items[i + 1];
    }
  }
  return top;
}

}  // namespace

std::vector<PickledTensor> ReadPickledTensors(std::string_view bytes, const std::string& where) {
  const std::string advice = Advice(where);
  PickleMachine machine(bytes, where, [&](std::string_view name) -> std::optional<std::string> {
    if (IsAllowed(name)) return std::nullopt;
    return RunsCommands(name) ? "" : advice;
  });
  const PickleValue& whole = machine.Run();
  if (whole.kind != Kind::kDictionary) {
    throw MakeError<DataError>("{}: holds no dictionary of tensors (a state dict){}", where,
                               advice);
  }
  const PickleValue& top = StateDictIn(whole);
  std::vector<PickledTensor> tensors;
  for (size_t i = 0; i + 1 < top.items.size(); i += 2) {
    const PickleValue& key = *top.items[i];
    if (key.kind != Kind::kString || InvalidUtf8At(key.text)) {
      throw MakeError<DataError>("{}: entry {} has a key that is not a string", where, i / 2);
    }
    tensors.push_back(
        TensorReader(fmt::format("{}: '{}'", where, key.text), advice).Read(*top.items[i + 1]));
    tensors.back().name = key.text;
  }
  return tensors;
}

}  // namespace condense
