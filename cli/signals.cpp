#include "cli/signals.h"

#include <unistd.h>

#include <csignal>

namespace mtyolo::cli {
namespace {

constexpr int kInterruptExit = 130, kTerminateExit = 143;

volatile std::sig_atomic_t exit_code = 0;

void on_interrupt(int) {
  if (exit_code == kInterruptExit) ::_exit(kInterruptExit);
  exit_code = kInterruptExit;
}

void on_terminate(int) { exit_code = kTerminateExit; }

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

void install_signal_handlers() {
  handle(SIGINT, on_interrupt);
  handle(SIGTERM, on_terminate);
  handle(SIGHUP, on_terminate);
  handle(SIGPIPE, SIG_IGN);
}

bool interrupted() { return exit_code != 0; }

int interrupted_exit_code() { return exit_code; }

}  // namespace mtyolo::cli
