#include "cli/child.h"

#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace mtyolo::cli {
namespace {

constexpr size_t kMaxOutput = size_t(64) << 20;

[[noreturn]] void fail_child(const char* what, int error) {
  fail(ExitCode::kRuntime, "child", "a process of its own for a measurement: {}: {}", what,
       std::strerror(error));
}

struct Pipe {
  int ends[2] = {-1, -1};
  Pipe() {
    if (pipe(ends) != 0) fail_child("pipe", errno);
  }
  ~Pipe() {
    for (const int end : ends)
      if (end >= 0) close(end);
  }
  void close_writing() { close(std::exchange(ends[1], -1)); }
};

pid_t start(const std::vector<std::string>& words, const Pipe& out) {
  std::vector<std::string> copies{"mtyolo"};
  copies.insert(copies.end(), words.begin(), words.end());
  std::vector<char*> argv;
  for (std::string& word : copies) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out.ends[1], STDOUT_FILENO);
  for (const int end : out.ends) posix_spawn_file_actions_addclose(&actions, end);
  pid_t child = 0;
  const int error = posix_spawn(&child, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) fail_child("cannot be started", error);
  return child;
}

std::string read_all(int from) {
  std::string text;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t n = read(from, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_child("reading its output", errno);
    if (n == 0) return text;
    if (text.size() < kMaxOutput) text.append(buffer, size_t(n));
  }
}

}  // namespace

ChildResult run_child(const std::vector<std::string>& words) {
  Pipe out;
  const pid_t child = start(words, out);
  out.close_writing();
  ChildResult result;
  result.out = read_all(out.ends[0]);
  int status = 0;
  rusage used{};
  while (wait4(child, &status, 0, &used) < 0)
    if (errno != EINTR) fail_child("waiting for it", errno);
  const auto seconds = [](const timeval& t) { return double(t.tv_sec) + 1e-6 * double(t.tv_usec); };
  result.cpu_seconds = seconds(used.ru_utime) + seconds(used.ru_stime);
  if (status != 0)
    fail(WIFEXITED(status) ? ExitCode(WEXITSTATUS(status)) : ExitCode::kRuntime, "child",
         "mtyolo {} ended with {} {}", fmt::join(words, " "), WIFEXITED(status) ? "exit code" : "signal",
         WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
  return result;
}

}  // namespace mtyolo::cli
