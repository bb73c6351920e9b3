// Names a method with its options and version, for what is kept of it.
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
