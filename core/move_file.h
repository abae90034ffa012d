// Moving a file without ever losing or replacing one.
#pragma once

#include <string>

namespace mtyolo {

// Gives a file another name: renames it, or, on another device, copies, flushes and then deletes. Never
// replaces a file. Throws Error{"file_write"}; `from` is then whole and `to` not there.
void move_file(const std::string& from, const std::string& to);

}  // namespace mtyolo
