// The stack machine of Python's pickle format (protocols 2 to 5), restricted to data.
//
// A call is recorded, never made. The opcodes that build objects of arbitrary classes are unknown
// here.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace condense {

struct PickleValue {
  enum class Kind {
    kOther,       // None, a boolean, a float: nothing that a tensor's description needs
    kInteger,     // number
    kString,      // text
    kSequence,    // items: a tuple or list
    kDictionary,  // items: key, value, key, value, ...
    kGlobal,      // text: "module name"
    kCall,        // text: the global; items: its arguments
    kPersistent,  // items: the fields of a storage reference
  };
  Kind kind = Kind::kOther;
  int64_t number = 0;
  std::string text;
  std::vector<const PickleValue*> items;
};

class PickleMachine {
 public:
  // `objection` is called for every global, "module name": nullopt if it is allowed, else how the
  // DataError ends ("" or "; advice").
  PickleMachine(std::string_view bytes, std::string where,
                std::function<std::optional<std::string>(std::string_view)> objection);

  // The value that the pickle describes; it lives as long as the machine.
  const PickleValue& Run();

 private:
  using Kind = PickleValue::Kind;

  const PickleValue& Result() const;
  [[noreturn]] void Fail(const std::string& problem) const;
  std::string_view Take(size_t count);
  uint64_t TakeUnsigned(int bytes);
  std::string_view TakeLine();

  PickleValue* New(Kind kind);
  void Push(PickleValue* value) { stack_.push_back(value); }
  PickleValue* Pop();
  PickleValue* Top();
  std::vector<const PickleValue*> PopToMark();

  // Each handles one group of opcodes and says whether `code` belongs to it.
  bool RunNumber(uint8_t code);
  bool RunString(uint8_t code);
  bool RunSequence(uint8_t code);
  bool RunCollection(uint8_t code);
  bool RunMemo(uint8_t code);
  bool RunObject(uint8_t code);

  void PushInteger(int64_t number);
  void PushString(uint64_t length);
  void PushTuple(size_t count);
  void PushGlobal(const std::string& name);
  void Extend(PickleValue* target, const std::vector<const PickleValue*>& items, Kind expected);
  void Remember(uint64_t slot) { memo_[slot] = Top(); }
  void Recall(uint64_t slot);
  void Call();

  std::string_view bytes_;
  std::string where_;
  std::function<std::optional<std::string>(std::string_view)> objection_;
  size_t position_ = 0, opcode_at_ = 0;
  // Values refer to one another in any pattern, cycles included, so one pool owns them all.
  std::deque<PickleValue> pool_;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::unordered_map<uint64_t, PickleValue*> memo_;
};

}  // namespace condense
