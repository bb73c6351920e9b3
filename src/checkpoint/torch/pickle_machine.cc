#include "checkpoint/torch/pickle_machine.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace condense {
namespace {

// Opcodes, by the names of Python's pickletools.
// clang-format off
enum Opcode : uint8_t {
  kMark = '(', kStop = '.', kPop = '0', kPopMark = '1',
  kNone = 'N', kNewTrue = 0x88, kNewFalse = 0x89, kBinFloat = 'G',
  kBinInt = 'J', kBinInt1 = 'K', kBinInt2 = 'M', kLong1 = 0x8a,
  kBinUnicode = 'X', kShortBinUnicode = 0x8c, kBinUnicode8 = 0x8d,
  kBinString = 'T', kShortBinString = 'U',
  kEmptyTuple = ')', kTuple = 't', kTuple1 = 0x85, kTuple2 = 0x86, kTuple3 = 0x87,
  kEmptyList = ']', kAppend = 'a', kAppends = 'e',
  kEmptyDict = '}', kSetItem = 's', kSetItems = 'u',
  kBinPut = 'q', kLongBinPut = 'r', kMemoize = 0x94, kBinGet = 'h', kLongBinGet = 'j',
  kProto = 0x80, kFrame = 0x95, kGlobal = 'c', kStackGlobal = 0x93,
  kReduce = 'R', kBuild = 'b', kBinPersId = 'Q',
};
// clang-format on

// Of a storage reference or a call. Each makes a copy of its list, so a long list that is named again
// and again would fill the memory.
constexpr size_t kMostFields = 16;

}  // namespace

PickleMachine::PickleMachine(std::string_view bytes, std::string where,
                             std::function<std::optional<std::string>(std::string_view)> objection)
    : bytes_(bytes), where_(std::move(where)), objection_(std::move(objection)) {}

const PickleValue& PickleMachine::Run() {
  while (true) {
    opcode_at_ = position_;
    const auto code = static_cast<uint8_t>(Take(1)[0]);
    if (code == kStop) return Result();
    if (RunNumber(code) || RunString(code) || RunSequence(code) || RunCollection(code) ||
        RunMemo(code) || RunObject(code)) {
      continue;
    }
    Fail(fmt::format("opcode 0x{:02x} is not needed for tensors and is refused", code));
  }
}

const PickleValue& PickleMachine::Result() const {
  if (stack_.size() != 1 || !marks_.empty()) Fail("ends with something other than one value");
  return *stack_.back();
}

void PickleMachine::Fail(const std::string& problem) const {
  throw MakeError<DataError>("{}: pickle, byte {}: {}", where_, opcode_at_, problem);
}

std::string_view PickleMachine::Take(size_t count) {
  if (count > bytes_.size() - position_) Fail("truncated");
  const std::string_view taken = bytes_.substr(position_, count);
  position_ += count;
  return taken;
}

uint64_t PickleMachine::TakeUnsigned(int bytes) {
  uint64_t value = 0;
  int shift = 0;
  for (const char byte : Take(static_cast<size_t>(bytes))) {
    value |= static_cast<uint64_t>(static_cast<uint8_t>(byte)) << shift;
    shift += 8;
  }
  return value;
}

std::string_view PickleMachine::TakeLine() {
  const size_t end = bytes_.find('\n', position_);
  if (end == std::string_view::npos) Fail("truncated");
  const std::string_view line = Take(end - position_);
  ++position_;
  return line;
}

PickleValue* PickleMachine::New(Kind kind) {
  pool_.push_back({.kind = kind});
  return &pool_.back();
}

PickleValue* PickleMachine::Top() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) Fail("takes from an empty stack");
  return stack_.back();
}

PickleValue* PickleMachine::Pop() {
  PickleValue* value = Top();
  stack_.pop_back();
  return value;
}

std::vector<const PickleValue*> PickleMachine::PopToMark() {
  if (marks_.empty()) Fail("no mark on the stack");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<const PickleValue*> items(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return items;
}

bool PickleMachine::RunNumber(uint8_t code) {
  switch (code) {
    case kNone:
    case kNewTrue:
    case kNewFalse:
      Push(New(Kind::kOther));
      return true;
    case kBinFloat:
      Take(8);
      Push(New(Kind::kOther));
      return true;
    case kBinInt:
      PushInteger(static_cast<int32_t>(TakeUnsigned(4)));
      return true;
    case kBinInt1:
      PushInteger(static_cast<int64_t>(TakeUnsigned(1)));
      return true;
    case kBinInt2:
      PushInteger(static_cast<int64_t>(TakeUnsigned(2)));
      return true;
    case kLong1: {
      const auto length = static_cast<int>(TakeUnsigned(1));
      if (length > 8) Fail("a number of more than 64 bits");
      const uint64_t value = TakeUnsigned(length);
      const int unused = 64 - 8 * length;  // the number is signed
      PushInteger(length == 0 ? 0 : static_cast<int64_t>(value << unused) >> unused);
      return true;
    }
    default:
      return false;
  }
}

bool PickleMachine::RunString(uint8_t code) {
  switch (code) {
    case kShortBinUnicode:
    case kShortBinString:
      PushString(TakeUnsigned(1));
      return true;
    case kBinUnicode:
    case kBinString:
      PushString(TakeUnsigned(4));
      return true;
    case kBinUnicode8:
      PushString(TakeUnsigned(8));
      return true;
    default:
      return false;
  }
}

bool PickleMachine::RunSequence(uint8_t code) {
  switch (code) {
    case kEmptyTuple:
    case kEmptyList:
      Push(New(Kind::kSequence));
      return true;
    case kTuple1:
    case kTuple2:
    case kTuple3:
      PushTuple(code - kTuple1 + size_t{1});
      return true;
    case kTuple: {
      PickleValue* tuple = New(Kind::kSequence);
      tuple->items = PopToMark();
      Push(tuple);
      return true;
    }
    default:
      return false;
  }
}

bool PickleMachine::RunCollection(uint8_t code) {
  switch (code) {
    case kEmptyDict:
      Push(New(Kind::kDictionary));
      return true;
    case kAppend: {
      const PickleValue* item = Pop();
      Extend(Top(), {item}, Kind::kSequence);
      return true;
    }
    case kAppends: {
      const auto items = PopToMark();
      Extend(Top(), items, Kind::kSequence);
      return true;
    }
    case kSetItem: {
      const PickleValue* value = Pop();
      const PickleValue* key = Pop();
      Extend(Top(), {key, value}, Kind::kDictionary);
      return true;
    }
    case kSetItems: {
      const auto items = PopToMark();
      Extend(Top(), items, Kind::kDictionary);
      return true;
    }
    default:
      return false;
  }
}

bool PickleMachine::RunMemo(uint8_t code) {
  switch (code) {
    case kMark:
      marks_.push_back(stack_.size());
      return true;
    case kPop:
      Pop();
      return true;
    case kPopMark:
      PopToMark();
      return true;
    case kBinPut:
      Remember(TakeUnsigned(1));
      return true;
    case kLongBinPut:
      Remember(TakeUnsigned(4));
      return true;
    case kMemoize:
      Remember(memo_.size());
      return true;
    case kBinGet:
      Recall(TakeUnsigned(1));
      return true;
    case kLongBinGet:
      Recall(TakeUnsigned(4));
      return true;
    default:
      return false;
  }
}

bool PickleMachine::RunObject(uint8_t code) {
  switch (code) {
    case kProto: {
      const uint64_t version = TakeUnsigned(1);
      if (version < 2 || version > 5) Fail(fmt::format("protocol {} is not supported", version));
      return true;
    }
    case kFrame:
      Take(8);
      return true;
    case kGlobal: {
      const std::string module(TakeLine());
      PushGlobal(module + " " + std::string(TakeLine()));
      return true;
    }
    case kStackGlobal: {
      const PickleValue* name = Pop();
      const PickleValue* module = Pop();
      PushGlobal(module->text + " " + name->text);
      return true;
    }
    case kReduce:
      Call();
      return true;
    case kBuild: {
      // An OrderedDict carries its module's version numbers as an attribute; nothing else has one.
      Pop();
      if (Top()->kind != Kind::kDictionary)
        Fail("sets the state of something other than a dictionary");
      return true;
    }
    case kBinPersId: {
      const PickleValue* fields = Pop();
      if (fields->kind != Kind::kSequence || fields->items.empty() ||
          fields->items.size() > kMostFields || fields->items[0]->text != "storage") {
        Fail("a reference to something other than a storage");
      }
      PickleValue* storage = New(Kind::kPersistent);
      storage->items = fields->items;
      Push(storage);
      return true;
    }
    default:
      return false;
  }
}

void PickleMachine::PushInteger(int64_t number) {
  PickleValue* value = New(Kind::kInteger);
  value->number = number;
  Push(value);
}

void PickleMachine::PushString(uint64_t length) {
  PickleValue* value = New(Kind::kString);
  value->text = Take(length);
  Push(value);
}

void PickleMachine::PushTuple(size_t count) {
  PickleValue* tuple = New(Kind::kSequence);
  for (size_t i = 0; i < count; ++i) tuple->items.push_back(Pop());
  std::reverse(tuple->items.begin(), tuple->items.end());
  Push(tuple);
}

void PickleMachine::PushGlobal(const std::string& name) {
  if (const auto advice = objection_(name)) {
    std::string dotted = name;
    std::replace(dotted.begin(), dotted.end(), ' ', '.');
    Fail(fmt::format("asks for '{}', which is not needed for dense tensors and is refused{}",
                     dotted, *advice));
  }
  PickleValue* global = New(Kind::kGlobal);
  global->text = name;
  Push(global);
}

void PickleMachine::Extend(PickleValue* target, const std::vector<const PickleValue*>& items,
                           Kind expected) {
  if (target->kind != expected) Fail("adds items to something that holds none");
  if (expected == Kind::kDictionary && items.size() % 2 != 0) Fail("a key without a value");
  target->items.insert(target->items.end(), items.begin(), items.end());
}

void PickleMachine::Recall(uint64_t slot) {
  const auto found = memo_.find(slot);
  if (found == memo_.end()) Fail("refers to a value that was not stored");
  Push(found->second);
}

void PickleMachine::Call() {
  const PickleValue* arguments = Pop();
  const PickleValue* function = Pop();
  if (function->kind != Kind::kGlobal || arguments->kind != Kind::kSequence) {
    Fail("calls something that is not a function");
  }
  if (arguments->items.size() > kMostFields) Fail("a call with too many arguments");
  const std::string& name = function->text;
  if (name == "collections OrderedDict") {
    if (!arguments->items.empty()) Fail("an OrderedDict with arguments");
    Push(New(Kind::kDictionary));
    return;
  }
  // A parameter or a tagged dictionary is its first argument with attributes that do not matter
  // here.
  const bool wrapper =
      name == "torch._utils _rebuild_parameter" || name == "torch.jit._pickle restore_type_tag";
  if (wrapper) {
    if (arguments->items.empty()) Fail("a parameter without a tensor");
    Push(const_cast<PickleValue*>(arguments->items[0]));
    return;
  }
  PickleValue* call = New(Kind::kCall);
  call->text = name;
  call->items = arguments->items;
  Push(call);
}

}  // namespace condense
