// What the documents and pages of `mtyolo bench` have in common.
#pragma once

#include <map>
#include <string>

#include "cli/output.h"

namespace mtyolo::cli {

// "context" of Google Benchmark's layout: date, executable, machine, compiler, threads.
Json bench_context(int threads);

// name -> real_time of a file that bench --out wrote. Throws Error{kData, "bench_report"} when there is none.
std::map<std::string, double> bench_times(const std::string& file);
[[noreturn]] void fail_report(const std::string& file, const std::string& message);

// `page` with what stands between the lines <!-- bench SUBJECT: begin --> and <!-- bench SUBJECT: end -->
// replaced by `text`. Throws Error{kUsage} that names `file` where they are missing.
std::string replace_between_markers(const std::string& page, const std::string& subject,
                                    const std::string& text, const std::string& file);

// The page that `--write FILE` names; none when the name is empty. A page without its markers is refused when
// it is made, so before the work and not after it.
class MarkedPage {
 public:
  MarkedPage(std::string file, std::string subject);
  void write(const std::string& text) const;

 private:
  std::string file_, subject_, page_;
};

}  // namespace mtyolo::cli
