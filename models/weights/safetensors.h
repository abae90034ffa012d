// The safetensors format, read and written under the rules of reliability.md section 5.
#pragma once

#include <map>
#include <string>

#include "models/weights/checkpoint.h"

namespace mtyolo::models {

// Tensors in file order; they are views of the mapped file. `metadata` (may be null) receives __metadata__.
StateDict read_safetensors(const std::string& path, std::map<std::string, std::string>* metadata = nullptr);

}  // namespace mtyolo::models
