// Signals (reliability.md section 10): the first SIGINT, SIGTERM or SIGHUP sets a flag that loops look at; a
// second SIGINT ends the process at once. SIGPIPE is ignored, so a closed pipe is an error of the write.
#pragma once

namespace mtyolo::cli {

void install_signal_handlers();
// True once the process was asked to stop. Loops finish what must not be half done and return.
bool interrupted();
// 130 after SIGINT, 143 after SIGTERM or SIGHUP, 0 otherwise: the exit code that goes before the verb's own.
int interrupted_exit_code();

}  // namespace mtyolo::cli
