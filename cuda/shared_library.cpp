#include "cuda/shared_library.h"

#include <dlfcn.h>

namespace mtyolo {

SharedLibrary::SharedLibrary(std::span<const char* const> names) {
  for (const char* name : names) {
    handle_ = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (handle_ != nullptr) return;
    if (error_.empty()) error_ = dlerror();
  }
}

void* SharedLibrary::symbol(const char* name) {
  void* found = handle_ == nullptr ? nullptr : dlsym(handle_, name);
  if (found == nullptr && error_.empty()) error_ = std::string("no function ") + name;
  return found;
}

}  // namespace mtyolo
