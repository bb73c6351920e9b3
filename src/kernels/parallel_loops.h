// at::parallel_for, for files that really run it on all threads.
#pragma once

#ifndef _OPENMP
#error \
    "without -fopenmp at::parallel_for is a plain loop: name the file in src/kernels/CMakeLists.txt"
#endif

#include <ATen/Parallel.h>
