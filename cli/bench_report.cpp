#include "cli/bench_report.h"

#include "cli/build_info.h"
#include "cli/machine.h"
#include "cli/process_stats.h"
#include "core/file.h"

namespace mtyolo::cli {
namespace {

constexpr size_t kMaxReportBytes = size_t(64) << 20, kMaxPageBytes = size_t(4) << 20;

}  // namespace

Json bench_context(int threads) {
  const MachineInfo machine = inspect_machine();
  return {{"date", utc_now()},
          {"executable", fmt::format("mtyolo {}", kVersion)},
          {"num_cpus", machine.cores_usable},
          {"cpu_model", machine.cpu_model},
          {"library_build_type", kBuildType},
          {"compiler", kCompiler},
          {"threads", threads}};
}

std::map<std::string, double> bench_times(const std::string& file) {
  const Json document = Json::parse(read_file(file, kMaxReportBytes), nullptr, false);
  std::map<std::string, double> times;
  if (document.is_object() && document.contains("benchmarks") && document["benchmarks"].is_array())
    for (const Json& b : document["benchmarks"])
      if (b.is_object() && b.contains("name") && b["name"].is_string() && b.contains("real_time") &&
          b["real_time"].is_number() && b["real_time"].get<double>() > 0)
        times[b["name"].get<std::string>()] = b["real_time"].get<double>();
  if (times.empty()) fail_report(file, "has no times");
  return times;
}

void fail_report(const std::string& file, const std::string& message) {
  throw Error({ExitCode::kData,
               "bench_report",
               message,
               file,
               {},
               "expected a file that bench --out wrote for the same subject and sizes"});
}

std::string replace_between_markers(const std::string& page, const std::string& subject,
                                    const std::string& text, const std::string& file) {
  const std::string open = fmt::format("<!-- bench {}: begin -->", subject),
                    close = fmt::format("<!-- bench {}: end -->", subject);
  const size_t begin = page.find(open), end = page.find(close);
  if (begin == std::string::npos || end == std::string::npos || end < begin)
    throw Error({ExitCode::kUsage,
                 "markers",
                 fmt::format("has no lines {} and {}", open, close),
                 file,
                 {},
                 "put both into the file, in this order"});
  return page.substr(0, begin + open.size()) + "\n" + text + page.substr(end);
}

MarkedPage::MarkedPage(std::string file, std::string subject)
    : file_(std::move(file)), subject_(std::move(subject)) {
  if (file_.empty()) return;
  page_ = read_file(file_, kMaxPageBytes);
  replace_between_markers(page_, subject_, "", file_);
}

void MarkedPage::write(const std::string& text) const {
  if (!file_.empty()) write_file_atomically(file_, replace_between_markers(page_, subject_, text, file_));
}

}  // namespace mtyolo::cli
