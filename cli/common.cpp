#include "cli/common.h"

#include <malloc.h>

#include "core/log.h"
#include "core/profile.h"

namespace mtyolo::cli {
namespace {

constexpr int kMaxThreads = 1024;

log::Level level_of(const CommonOptions& common) {
  if (common.quiet) return log::Level::kError;
  return common.verbose ? log::Level::kDebug : log::Level::kInfo;
}

}  // namespace

void register_common(Options& options, CommonOptions& common, const std::string& verb) {
  common.project = "runs/" + verb;
  options.group("Common options");
  options.text("device", common.device,
               "cpu, the number of a GPU, or simt: the emulated device of tests; a GPU if there is one");
  options.integer("threads", common.threads, 0, kMaxThreads, "threads of the computation, 0 = all cores");
  options.toggle("low-memory", common.low_memory, "prefer less memory over speed");
  options.list("impl", common.impl, "OP=NAME: force an implementation; may be repeated");
  options.integer("seed", common.seed, 0, std::numeric_limits<int64_t>::max(), "of everything that is drawn");
  options.toggle("deterministic", common.deterministic, "equal bits in every run; always so on the CPU");
  options.toggle("json", common.json, "results as one JSON document on stdout");
  options.toggle("quiet", common.quiet, "errors only on stderr");
  options.toggle("verbose", common.verbose, "more on stderr");
  options.text("log-file", common.log_file, "every message goes there as well");
  options.text("profile", common.profile, "write a Chrome trace of the run to this file");
  options.text("config", common.config, "flags from a YAML file; the command line wins");
  options.text("project", common.project, "folder of the run folders");
  options.text("name", common.name, "name of the run folder; exp, exp2, exp3 ...");
  options.toggle("exist-ok", common.exist_ok, "write into an existing run folder");
}

void apply_common(const Options& options, const CommonOptions& common) {
  log::configure(level_of(common), common.log_file);
  for (const std::string& note : options.notes()) log::info("note: {} has no effect here", note);
  if (common.low_memory) {
    ::mallopt(M_ARENA_MAX, 1);               // one heap for all threads
    ::mallopt(M_MMAP_THRESHOLD, 64 * 1024);  // larger blocks go back to the system when freed
  }
  if (!common.profile.empty()) profile::start();
}

Context make_context(const CommonOptions& common) { return Context(common.threads); }

}  // namespace mtyolo::cli
