// How long OpenMP's threads spin between two parallel regions before they sleep.
//
// libgomp's default is milliseconds. When another process wants the cores, each region then waits
// for a thread that is not running while another burns its core: two threads become ten times
// slower than one. Sleeping at once costs a wake-up per region. A few thousand turns (a tenth of a
// millisecond or so) cost neither. libgomp reads the number from the environment alone, while the
// program is being loaded. A program that wants it therefore starts itself once more with
// GOMP_SPINCOUNT set, before any library has begun its own set-up, which takes some milliseconds.
#pragma once

#include <string>

namespace condense {

// Starts the program again with GOMP_SPINCOUNT=5000, and returns only where nothing is to be done:
// GOMP_SPINCOUNT or OMP_WAIT_POLICY is set already, or the environment is unusual. Makes system
// calls only, since it runs before the C library is set up.
void LimitOpenMpWaiting(int argc, char** argv, char** environment);

// Stands in the file of `main`, outside any namespace, and calls LimitOpenMpWaiting before the
// libraries are set up; a call from `main` would come after LibTorch has taken its half second.
// Sanitizers set themselves up at the same moment, so a build with one leaves it out.
#if defined(__linux__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define CONDENSE_LIMIT_OPENMP_WAITING()                                                       \
  __attribute__((section(".preinit_array"), used)) static void (*const limit_openmp_waiting)( \
      int, char**, char**) = condense::LimitOpenMpWaiting
#else
#define CONDENSE_LIMIT_OPENMP_WAITING() static_assert(true)
#endif

// What holds in this process, for people: "GOMP_SPINCOUNT=5000".
std::string OpenMpWaiting();

}  // namespace condense
