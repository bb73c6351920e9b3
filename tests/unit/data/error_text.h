// The message of the error that a call ends in.
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace condense {

template <class E, class F>
std::string ErrorText(F&& call) {
  try {
    call();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another kind of error: " << error.what();
    return "";
  }
  ADD_FAILURE() << "no error";
  return "";
}

}  // namespace condense
