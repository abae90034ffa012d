// Runs the built command as its users do: in its own process, with pipes instead of a terminal.
#pragma once

#include <string>
#include <vector>

#include "tests/support/temp_folder.h"

namespace mtyolo::test {

struct CommandResult {
  int exit_code = -1;  // 128 + signal if it was killed
  std::string out, err;
};

std::string mtyolo_binary();  // its path
// `mtyolo WORDS...` with `input` on stdin.
CommandResult run_mtyolo(const std::vector<std::string>& words, const std::string& input = {});
// Any program, its path as the first word; without a slash it is looked up.
CommandResult run_program(std::vector<std::string> command, const std::string& input = {});

}  // namespace mtyolo::test
