// Identifies this process as the owner of work, and checks whether another owner is still alive.
//
// `Owner::process` is "<pid>:<start>@<boot>/<pid namespace>#<store>": the start time in clock ticks
// since boot, the kernel's boot id, the namespace in which the pid has a meaning, and which store
// object of the process holds the claim.
#pragma once

#include <chrono>

#include "results/records.h"

namespace condense {

// A new identity for one store object of this process.
Owner NewOwner();

enum class Life {
  kAlive,
  kDead,
  kUnknown,  // on another machine or in another container: only its heartbeat tells
};
Life LifeOf(const Owner& owner);

// Dead, or on another machine and without a heartbeat for longer than `patience`. Times in seconds
// since 1970.
bool IsAbandoned(const Owner& owner, int64_t heartbeat, int64_t now, std::chrono::seconds patience);

}  // namespace condense
