// Writes a weight file that nobody sees before it was read back and found right.
#pragma once

#include <functional>
#include <string>

#include "models/weights/checkpoint.h"

namespace mtyolo::cli {

// Whether `out` may be written from `input`: ends in .pt or .safetensors, its folder is there, and it is
// another file. Throws Error{kUsage}.
void check_weights_out(const std::string& out, const std::string& input);

// Writes `checkpoint` beside `out` under a temporary name, hands that name to `verify`, then renames. When
// `verify` throws, or the tensors, names or heads read back differ from those given (Error{kVerify}), nothing
// stays behind and an older `out` is untouched.
void write_verified(const std::string& out, const models::Checkpoint& checkpoint,
                    const std::function<void(const std::string& path)>& verify);

// The same for a plain dict of tensors (models::write_state_dict).
void write_verified_state_dict(const std::string& out, const models::StateDict& tensors);

// Bytes of a file.
uint64_t file_bytes(const std::string& path);

}  // namespace mtyolo::cli
