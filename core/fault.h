// Failures on purpose, for tests (reliability.md section 15). Built only with -DMTYOLO_FAULTS=ON; otherwise
// at() does nothing and `mtyolo info` says so.
//
//   MTYOLO_FAULT="site[:n][,action][;...]"
//   site    write fsync rename open decode label loss grad weight step clock
//   n       the nth visit (default 1); "n+" from then on; "p0.01" by chance, the same in every run
//   action  fail=ENOSPC|EIO|EMFILE|EINTR (default fail=EIO), short, kill, term, int, nan, hang=2s, throw,
//           jump=-86400 (seconds)
#pragma once

#include <string>
#include <string_view>

namespace mtyolo::fault {

// What the visited place has to do; kill, term, int, hang and throw are done by at() itself.
struct Effect {
  int error = 0;            // fail with this errno
  bool half = false;        // write only half
  bool nan = false;         // the value becomes NaN
  double jump_seconds = 0;  // the clock is off by this
};

bool compiled();
Effect at(std::string_view site);
// Replaces what MTYOLO_FAULT asks for and forgets all visits. Throws Error{kUsage} for a text that means
// nothing.
void configure(const std::string& spec);

}  // namespace mtyolo::fault
