// The safetensors format, read and written under the rules of reliability.md section 5.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>

#include "models/weights/checkpoint.h"

namespace mtyolo::models {

// Tensors in file order; they are views of the mapped file. `metadata` (may be null) receives __metadata__.
// Throws Error{kModel, "safetensors"} that names the file and the tensor.
StateDict read_safetensors(const std::string& path, std::map<std::string, std::string>* metadata = nullptr);

// The same from memory that `keeper` keeps alive (null: the caller does); errors name no file.
StateDict parse_safetensors(std::span<const std::byte> bytes, const std::shared_ptr<const void>& keeper,
                            std::map<std::string, std::string>* metadata = nullptr);

// True if the bytes begin as a safetensors file does: a header length that fits, then '{'.
bool looks_like_safetensors(std::span<const std::byte> bytes);

// Written atomically. Data begin at a multiple of 64 bytes, so that tensors can be used where the file is
// mapped.
void write_safetensors(const std::string& path, const StateDict& tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace mtyolo::models
