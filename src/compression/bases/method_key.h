// A method with its version and options: the key under which results are cached that depend on
// them.
#pragma once

#include <string>

#include "compression/compressor.h"
#include "config/registry.h"

namespace condense {

template <class Params>
std::string MethodKey(const char* name, const Params& params) {
  return fmt::format("{} {} {}", name, Registry<Compressor>::Instance().Get(name).version,
                     CanonicalText(params));
}

}  // namespace condense
