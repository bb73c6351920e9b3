// How long OpenMP's threads spin between two parallel regions before they sleep.
//
// libgomp's default is milliseconds. When another process wants the cores, each region then waits
// for a thread that is not running while another burns its core: two threads become ten times
// slower than one. Sleeping at once costs a wake-up each region. A few thousand turns (a tenth of a
// millisecond or so) cost neither. libgomp takes the number from the environment alone, while the
// program is being loaded; so a program that links this file starts itself once more with
// GOMP_SPINCOUNT set, before any library has begun its own set-up: some milliseconds. Nothing
// happens if GOMP_SPINCOUNT or OMP_WAIT_POLICY is set already.
#pragma once

#include <string>

namespace condense {

// What holds in this process, for people: "GOMP_SPINCOUNT=5000".
std::string OpenMpWaiting();

}  // namespace condense
