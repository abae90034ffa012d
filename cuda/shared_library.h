// A library that is opened when it is needed, so that the program starts without it.
#pragma once

#include <span>
#include <string>

namespace mtyolo {

class SharedLibrary {
 public:
  // Opens the first of the names that can be opened, and keeps it for the life of the process (libraries of
  // CUDA do not survive being closed). Otherwise error() says why.
  explicit SharedLibrary(std::span<const char* const> names);
  explicit operator bool() const { return handle_ != nullptr; }
  const std::string& error() const { return error_; }
  // Fills a pointer to a function; a name that is missing is kept in error() and makes the result false.
  template <class F>
  bool find(F*& function, const char* name) {
    function = reinterpret_cast<F*>(symbol(name));
    return function != nullptr;
  }

 private:
  void* symbol(const char* name);
  void* handle_ = nullptr;
  std::string error_;
};

// The functions of a library, or why it cannot be used.
template <class Api>
struct LoadedApi {
  Api api{};
  std::string why{};
  const Api* get(std::string* reason) const {
    if (reason != nullptr) *reason = why;
    return why.empty() ? &api : nullptr;
  }
};

}  // namespace mtyolo
