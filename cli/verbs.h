// A verb of the command, and the table of those this version has. A new verb is one file cli/<verb>.cpp that
// defines make_<verb>() and one line in the table of cli/verbs.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/common.h"
#include "cli/options.h"

namespace mtyolo::cli {

class Verb {
 public:
  virtual ~Verb() = default;
  // Names the verb's own flags; they are stored in the verb when the command line is read.
  virtual void register_options(Options& options) = 0;
  // Does the work: results through cli/output.h, messages through core/log.h. Throws Error.
  virtual ExitCode run(const CommonOptions& common) = 0;
  // Whether it looks at --device itself; for other verbs a device is refused before they run.
  virtual bool takes_device() const { return false; }
};

struct VerbEntry {
  std::string name, summary;
  std::unique_ptr<Verb> (*make)();
};

const std::vector<VerbEntry>& verbs();

// The verb or its alias (detect, predict). Throws Error{"usage"}: for a verb that belongs to the command but
// not to this version it says so; both name the nearest verb there is.
const VerbEntry& find_verb(const std::string& name);

// Reads the verb's flags and runs it; the exit code. Throws Error.
int run_verb(const VerbEntry& entry, const std::vector<std::string>& words);

// The whole command: returns the exit code. `words` has no program name.
int run_command(const std::vector<std::string>& words);

}  // namespace mtyolo::cli
