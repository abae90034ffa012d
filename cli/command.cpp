// From the words of the command line to an exit code: finds the verb, reads its flags, runs it, reports
// errors.
#include <cstdio>
#include <exception>
#include <new>

#include "cli/backend.h"
#include "cli/build_info.h"
#include "cli/output.h"
#include "cli/signals.h"
#include "cli/verbs.h"
#include "core/log.h"
#include "core/profile.h"
#include "core/text.h"

namespace mtyolo::cli {
namespace {

std::string overall_help() {
  std::string text =
      "mtyolo: YOLOv7 object detection, with several heads on one trunk\n\n"
      "Usage: mtyolo VERB [POSITIONAL...] [--flag value]...\n\nVerbs:\n";
  for (const VerbEntry& v : verbs()) text += fmt::format("  {:10} {}\n", v.name, v.summary);
  text +=
      "\nmtyolo VERB --help shows the flags of a verb; mtyolo --version the version.\n"
      "Through the launcher: ./mtyolo test [WORDS] runs the tests, ./mtyolo build only builds.\n";
  return text;
}

// Whether the result must be JSON, known before the flags could be read.
bool wants_json(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word == "--") return false;
    if (word == "--json" || lower_case(word) == "json=true" || lower_case(word) == "--json=true") return true;
  }
  return false;
}

int report(const ErrorInfo& error, const std::string& text, bool json) {
  try {
    if (json) print_json(error_document(error));
    else std::fputs(fmt::format("error: {}\n", text).c_str(), stderr);
  } catch (const Error& e) {  // stdout is closed
    std::fputs(fmt::format("error: {}\n", e.what()).c_str(), stderr);
  }
  return int(error.exit);
}

}  // namespace

int run_verb(const VerbEntry& entry, const std::vector<std::string>& words) {
  Options options(entry.name, entry.summary);
  CommonOptions common;
  const std::unique_ptr<Verb> verb = entry.make();
  verb->register_options(options);
  register_common(options, common, entry.name);
  if (!options.parse(words)) {
    print(options.help());
    return 0;
  }
  apply_common(options, common);
  if (!verb->takes_device()) refuse_device(common.device, entry.name);
  const ExitCode code = verb->run(common);
  if (!common.profile.empty()) profile::write(common.profile);
  return int(code);
}

namespace {

int dispatch(const std::vector<std::string>& words) {
  if (words.empty()) {
    std::fputs(overall_help().c_str(), stderr);
    return int(ExitCode::kUsage);
  }
  if (words[0] == "--help" || words[0] == "-h" || (words[0] == "help" && words.size() == 1)) {
    print(overall_help());
    return 0;
  }
  if (words[0] == "--version") {
    print(fmt::format("mtyolo {}\n", kVersion));
    return 0;
  }
  if (words[0] == "help") return run_verb(find_verb(words[1]), {"--help"});
  if (words[0].starts_with("-"))
    throw Error({ExitCode::kUsage,
                 "usage",
                 fmt::format("expected a verb before {}", mtyolo::quoted(words[0])),
                 {},
                 {},
                 "mtyolo --help lists the verbs"});
  return run_verb(find_verb(words[0]), {words.begin() + 1, words.end()});
}

}  // namespace

int run_command(const std::vector<std::string>& words) {
  install_signal_handlers();
  const bool json = wants_json(words);
  int code = 0;
  try {
    code = dispatch(words);
  } catch (const Error& e) {
    code = report(e.info(), e.what(), json);
  } catch (const std::bad_alloc&) {
    const ErrorInfo e{
        ExitCode::kRuntime, "out_of_memory", "out of memory", {}, {}, "try --low-memory or a smaller size"};
    code = report(e, Error(e).what(), json);
  } catch (const std::exception& e) {
    const ErrorInfo unexpected{ExitCode::kRuntime,           "internal", e.what(), {}, {},
                               "please report this as a bug"};
    code = report(unexpected, Error(unexpected).what(), json);
  }
  return interrupted() ? interrupted_exit_code() : code;
}

}  // namespace mtyolo::cli
