// mtyolo bench: how long a subject takes, from process start to the steady state (conventions.md section 2).
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <map>

#include "cli/backend.h"
#include "cli/bench_kernels.h"
#include "cli/bench_multitask.h"
#include "cli/bench_report.h"
#include "cli/bench_subject.h"
#include "cli/output.h"
#include "cli/process_stats.h"
#include "cli/signals.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"

namespace mtyolo::cli {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail_usage(std::string message, std::string suggestion) {
  throw Error({ExitCode::kUsage, "usage", std::move(message), {}, {}, std::move(suggestion)});
}

struct SubjectEntry {
  const char* name;
  std::unique_ptr<BenchSubject> (*make)(Context&, const CommonOptions&, BenchParams&);
};
constexpr SubjectEntry kSubjects[] = {{"model", bench_model}, {"train", bench_train}};
// Those of the finished command.
const std::vector<std::string> kPlanned{"data", "serve"};
// With flags of their own: one compares networks, the other times ops.
constexpr const char *kMultitask = "multitask", *kKernels = "kernels";

const SubjectEntry& find_subject(const std::string& name) {
  std::vector<std::string> known{kKernels, kMultitask};
  for (const SubjectEntry& s : kSubjects) {
    if (name == s.name) return s;
    known.push_back(s.name);
  }
  const std::string usage = fmt::format("write mtyolo bench {} WEIGHTS", fmt::join(known, "|"));
  if (std::find(kPlanned.begin(), kPlanned.end(), name) != kPlanned.end())
    fail_usage(fmt::format("bench {} is not part of this version", name), usage);
  fail_usage(fmt::format("bench: unknown subject {}{}", mtyolo::quoted(name), did_you_mean(name, known)),
             usage);
}

class Bench : public Verb {
 public:
  void register_options(Options& o) override {
    o.positionals({"SUBJECT [WEIGHTS|CFG|DATA.yaml]",
                   "what to time: model or train, from a checkpoint, or from a cfg with random weights; "
                   "kernels, every op on the layers of networks; or multitask, how much heads should share, "
                   "on drawn scenes and on data with two heads"},
                  words_);
    o.text("weights", params_.weights, "the same as WEIGHTS|CFG");
    o.text("cfg", params_.cfg, "model description, when the weights bring none");
    o.image_size("img-size", params_.size, "sides of the network input");
    o.integer("batch-size", params_.batch, 1, 256, "images per run");
    o.choice("dtype", params_.dtype, {"fp32", "tf32", "fp16", "bf16"},
             "what convolutions multiply; model on the CPU takes fp32 and bf16");
    o.integer("reps", reps_, 1, 1'000'000, "runs that are timed, at least");
    o.integer("warmup", warmup_, 0, 1'000'000, "runs before");
    o.real("min-time", min_time_, 0, 86400, "seconds that are timed, at least");
    o.toggle("stdio", stdio_,
             "answer lines: run K, quit (for a referee that times several engines); and ceiling K");
    o.text("out", out_, "write the result to this JSON file");
    o.text("against", against_, "compare with this JSON file; exit 1 if slower than --fail-over allows");
    o.real("fail-over", fail_over_, 0, 1000, "accepted slowdown against it, 0.10 = 10 %");
    o.text("write", multitask_.write,
           "kernels, multitask: page whose part between the marker lines is replaced by the table");
    o.group("kernels (--reps 3 and --min-time 0.05 for each unless given: a few minutes in all)");
    o.list("filter", kernels_.filter, "only ops whose name has one of these in it: conv2d_forward/yolov7/");
    o.list("shapes", kernels_.shapes,
           "NETWORK-SIZE whose layers are timed: yolov7-640, yolov7-tiny-640 and yolov7-w6-1280");
    o.group("multitask");
    o.integer("seeds", multitask_.seeds, 1, 100, "trainings of each network");
    o.integer("epochs", multitask_.epochs, 1, 10000, "of each training");
    options_ = &o;
  }

  bool takes_device() const override { return true; }
  ExitCode run(const CommonOptions& common) override {
    if (words_[0] != "model" && words_[0] != kKernels) refuse_device(common.device, "bench " + words_[0]);
    if (words_[0] == kKernels) return time_kernels(common);
    if (words_[0] == kMultitask) return compare_sharings(common);
    read_words();
    if (stdio_ && (!out_.empty() || !against_.empty()))
      fail_usage("--stdio answers lines and writes no result", "leave --out and --against out");
    Context ctx = make_context(common);
    subject_ = find_subject(words_[0]).make(ctx, common, params_);
    subject_->once();
    start_s_ = seconds_since_process_start();
    if (stdio_) return answer_lines(ctx);

    for (int i = 0; i < warmup_ && !interrupted(); ++i) subject_->once();
    measure();
    if (common.verbose) layers_ = subject_->layers(interrupted);
    device_ = subject_->device_facts();
    if (wall_ms_.empty()) return ExitCode::kDone;  // interrupted
    return report(common, ctx.pool().size());
  }

 private:
  void refuse_flags(std::initializer_list<const char*> flags) const {
    for (const char* flag : flags)
      if (options_->given(flag))
        fail_usage(fmt::format("bench {}: --{} does not apply to it", words_[0], flag), "leave it out");
  }

  ExitCode compare_sharings(const CommonOptions& common) {
    refuse_flags({"weights", "cfg", "batch-size", "dtype", "reps", "warmup", "min-time", "stdio", "against",
                  "fail-over", "filter", "shapes"});
    multitask_.data.assign(words_.begin() + 1, words_.end());
    if (options_->given("img-size")) multitask_.size = params_.size;
    multitask_.out = out_;
    return bench_multitask(common, multitask_);
  }

  ExitCode time_kernels(const CommonOptions& common) {
    refuse_flags({"weights", "cfg", "img-size", "warmup", "stdio", "seeds", "epochs"});
    if (words_.size() > 1) fail_usage("bench kernels takes no WEIGHTS", "choose networks by --shapes");
    kernels_.batch = params_.batch;
    kernels_.dtype = params_.dtype;
    if (options_->given("reps")) kernels_.reps = reps_;
    if (options_->given("min-time")) kernels_.min_time = min_time_;
    kernels_.out = out_, kernels_.against = against_, kernels_.fail_over = fail_over_;
    kernels_.write = multitask_.write;
    return bench_kernels(common, kernels_);
  }

  void read_words() {
    find_subject(words_[0]);
    refuse_flags({"seeds", "epochs", "write", "filter", "shapes"});
    if (params_.dtype == "tf32" && words_[0] == "train")
      fail_usage("bench train: --dtype is tf32", "expected fp32, fp16 or bf16");
    std::string& weights = params_.weights;
    if (words_.size() > 2) fail_usage(fmt::format("bench: unexpected {}", mtyolo::quoted(words_[2])), "");
    if (words_.size() == 2) {
      if (!weights.empty()) fail_usage("bench: the weights are given twice", "give them once");
      weights = words_[1];
    }
    if (weights.empty())
      fail_usage(fmt::format("bench {}: WEIGHTS or CFG is missing", words_[0]),
                 fmt::format("write mtyolo bench {} yolov7.pt", words_[0]));
  }

  double timed_run() {
    const auto begin = Clock::now();
    subject_->once();
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
  }

  // The referee's line protocol (conventions.md section 2), and `ceiling K`: K times that a loop of
  // multiply-adds takes on the same threads.
  ExitCode answer_lines(Context& ctx) {
    constexpr int64_t kMostRuns = 1'000'000;
    print_json({{"ready", true}});
    std::string line;
    while (!interrupted() && std::getline(std::cin, line)) {
      const std::string_view text = trim(line);
      if (text.empty()) continue;
      if (text == "quit") break;
      const size_t space = std::min(text.find(' '), text.size());
      const std::string_view word = text.substr(0, space);
      const auto count =
          word == "run" || word == "ceiling" ? parse_int(trim(text.substr(space))) : std::nullopt;
      if (!count || *count < 1 || *count > kMostRuns)
        fail_usage(fmt::format("--stdio: the line is {}", mtyolo::quoted(text)),
                   "expected 'run K', 'ceiling K' or 'quit'");
      std::vector<double> ms;
      for (int64_t i = 0; i < *count && !interrupted(); ++i)
        ms.push_back(word == "run" ? timed_run() : multiply_adds_ms(ctx));
      print_json({{"ms", ms}});
    }
    print_json({{"rss_mib", peak_memory_mib()}});
    return ExitCode::kDone;
  }

  void measure() {
    const auto begin = Clock::now();
    const double cpu_begin = process_cpu_seconds();
    const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
    while ((int(wall_ms_.size()) < reps_ || elapsed() < min_time_) && !interrupted())
      wall_ms_.push_back(timed_run());
    cpu_ms_ = (process_cpu_seconds() - cpu_begin) * 1e3 / double(std::max<size_t>(wall_ms_.size(), 1));
  }

  Json result() const {
    const auto [low, high] = std::minmax_element(wall_ms_.begin(), wall_ms_.end());
    const double flops = subject_->flops();
    const std::string model = std::filesystem::path(params_.weights).stem().string();
    const double time = median(wall_ms_);
    const std::string type = params_.dtype == "fp32" ? "" : "/" + params_.dtype;
    Json entry{{"name", fmt::format("{}/{}/{}/{}{}", words_[0], model, params_.size, params_.batch, type)},
               {"run_type", "iteration"},
               {"iterations", wall_ms_.size()},
               {"real_time", time},
               {"cpu_time", cpu_ms_},
               {"time_unit", "ms"},
               {"min_time", *low},
               {"max_time", *high},
               {"gflops", flops / time * 1e-6}};
    if (!device_.is_null()) {
      entry["name"] =
          fmt::format("{}/{}", entry["name"].get<std::string>(), device_["device"].get<std::string>());
      entry["device"] = device_;
    }
    for (const BenchLayer& l : layers_)
      entry["layers"].push_back(
          {{"op", l.op}, {"scope", l.scope}, {"shape", l.detail}, {"ms", l.ms}, {"gflops", l.gflops}});
    return entry;
  }

  Json document(int threads, Json entry) const {
    Json d = json_document("bench");
    d["context"] = bench_context(threads);
    d["benchmarks"] = Json::array({std::move(entry)});
    d["start_s"] = start_s_;
    d["rss_mib"] = peak_memory_mib();
    return d;
  }

  // Median time of the same benchmark in --against.
  double time_before(const std::string& name) const {
    const std::map<std::string, double> times = bench_times(against_);
    const auto found = times.find(name);
    if (found == times.end()) fail_report(against_, fmt::format("has no time of {}", name));
    return found->second;
  }

  ExitCode report(const CommonOptions& common, int threads) {
    Json entry = result();
    double ratio = 0;
    if (!against_.empty())
      entry["ratio_to"] = ratio = entry["real_time"].get<double>() / time_before(entry["name"]);
    const Json d = document(threads, entry);
    if (!out_.empty())
      write_file_atomically(out_, d.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
    if (common.json) print_json(d);
    else print_text(d, threads);
    if (ratio <= 1 + fail_over_) return ExitCode::kDone;
    log::warning("{:.2f} times the time of {}, accepted is {:.2f}", ratio, against_, 1 + fail_over_);
    return ExitCode::kRuntime;
  }

  static std::string device_text(const Json& d) {
    return fmt::format(
        "{} on {}: {:.3f} ms an image, {} kernels a run; transfers {:.3f} ms there, {:.3f} ms back an image; "
        "weights {:.1f} MiB, maps {:.1f} MiB, workspace {:.1f} MiB\n",
        d["device"].get<std::string>(), d["name"].get<std::string>(), d["ms_per_image"].get<double>(),
        d["kernels"].get<int>(), d["upload_ms_per_image"].get<double>(),
        d["download_ms_per_image"].get<double>(), d["weights_mib"].get<double>(),
        d["arena_mib"].get<double>(), d["workspace_mib"].get<double>());
  }

  void print_text(const Json& d, int threads) const {
    const Json& b = d["benchmarks"][0];
    std::string text;
    for (const BenchLayer& l : layers_)
      text += fmt::format("{:>9.3f} ms {:>7.1f} GFLOP/s  {:14} {:28} {}\n", l.ms, l.gflops, l.op, l.scope,
                          l.detail);
    text += fmt::format("{} on {} thread{}: median {:.1f} ms ({:.1f} to {:.1f} in {} runs), {:.1f} GFLOP/s\n",
                        b["name"].get<std::string>(), threads, threads == 1 ? "" : "s",
                        b["real_time"].get<double>(), b["min_time"].get<double>(),
                        b["max_time"].get<double>(), wall_ms_.size(), b["gflops"].get<double>());
    if (b.contains("device")) text += device_text(b["device"]);
    if (b.contains("ratio_to"))
      text += fmt::format("{:.3f} of the time in {}\n", b["ratio_to"].get<double>(), against_);
    text += fmt::format("first result {:.2f} s after process start, peak memory {:.0f} MiB\n", start_s_,
                        d["rss_mib"].get<double>());
    print(text);
  }

  std::vector<std::string> words_;
  const Options* options_ = nullptr;
  BenchParams params_;
  MultitaskParams multitask_;
  KernelsParams kernels_;
  std::string out_, against_;
  int reps_ = 30, warmup_ = 5;
  double min_time_ = 0.5, fail_over_ = 0.10;
  bool stdio_ = false;

  std::unique_ptr<BenchSubject> subject_;
  double start_s_ = 0, cpu_ms_ = 0;
  std::vector<double> wall_ms_;
  std::vector<BenchLayer> layers_;
  Json device_;
};

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

std::unique_ptr<Verb> make_bench() { return std::make_unique<Bench>(); }

}  // namespace mtyolo::cli
