// Asserts on the text of an Error: CHECK(error_text([&] { f(); }) == "conv2d: ...").
#pragma once

#include <string>

#include "core/error.h"

namespace mtyolo::test {

// what() of the Error that `f` throws, or "no error".
template <class F>
std::string error_text(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

// The stable code of the Error that `f` throws, or "no error".
template <class F>
std::string error_code(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.info().code;
  }
  return "no error";
}

}  // namespace mtyolo::test
