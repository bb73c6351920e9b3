// Under which names the tensors of a checkpoint are stored. Training code saves models inside
// wrappers, whose names stand in front or in between (torch.compile, DataParallel, FSDP, PEFT,
// Lightning), saves the model without its head, or one tensor of a tied pair.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/stored/family.h"

namespace condense {

class TensorNames {
 public:
  // stored: the names in the checkpoint. tied: the head may stand for the token embedding.
  // where: begins messages. DataError if two tensors differ by a wrapper's name alone.
  TensorNames(const std::vector<std::string>& stored, const WeightNames& family, bool tied,
              const std::string& where);

  // The one of the family's prefixes that the names have.
  const std::string& prefix() const { return prefix_; }
  // In the checkpoint, of the tensor that the family calls so; `name` itself where it is not there.
  const std::string& Stored(const std::string& name) const;
  // What the family calls each tensor of the checkpoint.
  const std::vector<std::string>& names() const { return names_; }

 private:
  bool Has(const std::string& name) const { return stored_.contains(name); }
  bool FindPrefix(const WeightNames& family);
  void LeaveOut(const std::string& beginning);

  std::map<std::string, std::string> stored_;  // by the family's name
  std::vector<std::string> names_;             // sorted
  std::string prefix_;
};

}  // namespace condense
