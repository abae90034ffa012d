#include "tests/cli/command.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>
#include <utility>

#include "core/file.h"

extern char** environ;

namespace mtyolo::test {

std::string mtyolo_binary() { return MTYOLO_BINARY; }

CommandResult run_mtyolo(const std::vector<std::string>& words, const std::string& input) {
  std::vector<std::string> command{MTYOLO_BINARY};
  command.insert(command.end(), words.begin(), words.end());
  return run_program(std::move(command), input);
}

CommandResult run_program(std::vector<std::string> command, const std::string& input) {
  constexpr size_t kMaxOutput = size_t{64} << 20;
  const TempFolder scratch;
  const std::string in = scratch.path("in"), out = scratch.path("out"), err = scratch.path("err");
  write_file_atomically(in, input);
  std::vector<char*> arguments;
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, 0, in.c_str(), O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&files, 1, out.c_str(), O_WRONLY | O_CREAT, 0600);
  ::posix_spawn_file_actions_addopen(&files, 2, err.c_str(), O_WRONLY | O_CREAT, 0600);
  pid_t process = 0;
  const int failed = ::posix_spawnp(&process, arguments[0], &files, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&files);
  if (failed != 0) throw std::runtime_error("cannot start " + command[0]);
  int status = 0;
  ::waitpid(process, &status, 0);
  CommandResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = read_file(out, kMaxOutput);
  result.err = read_file(err, kMaxOutput);
  return result;
}

}  // namespace mtyolo::test
