#include "cli/bench_kernels.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "cli/backend.h"
#include "cli/bench_report.h"
#include "cli/bench_subject.h"
#include "cli/process_stats.h"
#include "cli/signals.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "ops/blocked/blocked.h"

namespace mtyolo::cli {
namespace {

constexpr int kMostRuns = 1'000'000;

[[noreturn]] void refuse(std::string message, std::string suggestion) {
  throw Error({ExitCode::kUsage, "usage", std::move(message), {}, {}, std::move(suggestion)});
}

std::vector<KernelCase> collect(const KernelsParams& params) {
  std::vector<std::string> shapes = params.shapes;
  if (shapes.empty()) shapes = {"yolov7-640", "yolov7-tiny-640", "yolov7-w6-1280"};
  std::vector<KernelCase> all;
  for (const std::string& text : shapes) {
    const size_t dash = text.rfind('-');
    const auto size = dash == std::string::npos ? std::nullopt : parse_int(text.substr(dash + 1));
    if (!size || *size < 32 || *size > 8192)
      refuse(fmt::format("--shapes is {}", mtyolo::quoted(text)), "expected NETWORK-SIZE, as yolov7-640");
    for (KernelCase& c : kernel_workload(text.substr(0, dash), int(*size), params.batch)) {
      c.network = std::filesystem::path(c.network).stem().string();
      all.push_back(std::move(c));
    }
  }
  for (KernelCase& c : drawn_workload()) all.push_back(std::move(c));
  std::erase_if(all, [&](const KernelCase& c) {
    const auto fits = [name = c.name()](const std::string& text) { return name.find(text) != name.npos; };
    return !params.filter.empty() && std::none_of(params.filter.begin(), params.filter.end(), fits);
  });
  if (all.empty())
    refuse(fmt::format("--filter: no name has {}", fmt::join(params.filter, " or ")),
           "names are like conv2d_forward/yolov7/k3s1_80x80_128_256");
  return all;
}

class Kernels {
 public:
  Kernels(const CommonOptions& common, const KernelsParams& params)
      : params_(params), ctx_(make_context(common)), backend_(open_backend(common)) {
    if (!common.impl.empty())
      refuse("bench kernels: --impl does not apply to it", "it times what the plan and training run");
    if (!backend_) {
      if (params.dtype != "fp32" && params.dtype != "bf16")
        refuse(fmt::format("bench kernels: --dtype is {} on the CPU", params.dtype), "expected fp32 or bf16");
      runner_ = cpu_kernel_runner(ctx_, params.dtype == "bf16" ? DType::kBF16 : DType::kF32);
      if (params.dtype == "bf16") suffix_ = "/bf16";
      return;
    }
    runner_ = device_kernel_runner(backend_, math_of(params.dtype));
    suffix_ = fmt::format("/{}/{}", params.dtype, to_string(backend_.session->device()));
  }

  Json document() {
    if (!params_.against.empty()) before_ = bench_times(params_.against);
    const std::vector<KernelCase> cases = collect(params_);
    ceilings_ = runner_->ceilings();
    Json d = json_document("bench");
    d["context"] = context();
    d["benchmarks"] = Json::array();
    for (const KernelCase& c : cases) {
      if (interrupted()) break;
      if (const auto run = runner_->prepare(c)) d["benchmarks"].push_back(entry(c, *run));
    }
    if (d["benchmarks"].empty())
      refuse("bench kernels: the device has none of these ops", "choose others by --filter");
    if (!before_.empty() && compared_ == 0) fail_report(params_.against, "has no time of any of these ops");
    return d;
  }

  // Names with the ratio to the time before, worst first.
  std::vector<std::pair<double, std::string>> slower;

 private:
  Json context() {
    Json c = bench_context(ctx_.pool().size());
    c["command"] = command();
    c["instructions"] = ops::blocked::kernels().isa;
    c["dtype"] = params_.dtype;
    if (backend_) {
      c["device"] = backend_.session->info().name;
      c["times_mean_nothing"] = backend_.kernels->prefix() == "simt";  // an emulator's
    }
    c["ceiling_gflops"] = ceilings_.gflops;
    c["ceiling_gbps"] = ceilings_.gbps;
    return c;
  }

  std::string command() const {
    std::string text = "mtyolo bench kernels";
    if (!params_.shapes.empty()) text += fmt::format(" --shapes {}", fmt::join(params_.shapes, ","));
    if (!params_.filter.empty()) text += fmt::format(" --filter {}", fmt::join(params_.filter, ","));
    if (params_.batch != 1) text += fmt::format(" --batch-size {}", params_.batch);
    if (params_.dtype != "fp32") text += " --dtype " + params_.dtype;
    if (backend_) text += " --device " + to_string(backend_.session->device());
    return text;
  }

  std::vector<double> measure(const KernelRun& run) const {
    run.ms();  // warms caches and pages
    std::vector<double> ms;
    double total = 0;
    while ((int(ms.size()) < params_.reps || total < params_.min_time * 1e3) && int(ms.size()) < kMostRuns &&
           !interrupted()) {
      ms.push_back(run.ms());
      total += ms.back();
    }
    if (ms.empty()) ms.push_back(run.ms());  // interrupted
    return ms;
  }

  Json entry(const KernelCase& c, const KernelRun& run) {
    const double cpu_begin = process_cpu_seconds();
    const std::vector<double> ms = measure(run);
    const double time = median(ms), runs = double(ms.size());
    const auto [low, high] = std::minmax_element(ms.begin(), ms.end());
    // Half the bytes where maps have 16 bits.
    const double item = double(bytes_of(type_of(math_of(params_.dtype)))) / sizeof(float);
    const double bytes = run.bytes > 0 ? run.bytes : c.bytes * item;
    Json e{{"name", c.name() + suffix_},
           {"run_type", "iteration"},
           {"iterations", ms.size()},
           {"real_time", time},
           {"cpu_time", (process_cpu_seconds() - cpu_begin) * 1e3 / (runs + 1)},
           {"time_unit", "ms"},
           {"min_time", *low},
           {"max_time", *high},
           {"op", c.op},
           {"network", c.network},
           {"impl", run.impl},
           {"count", c.count}};
    if (c.flops > 0) e["gflops"] = c.flops / time * 1e-6;
    if (bytes > 0) e["gbps"] = bytes / time * 1e-6;
    // Winograd's products are f32, each of which takes the place of two in bf16.
    const double form_flops = run.impl == "cpu.winograd" ? c.form_flops / item : c.flops;
    const double least = std::max(form_flops / ceilings_.gflops, bytes / ceilings_.gbps) * 1e-6;  // ms
    if (least > 0) e["roofline_pct"] = 100 * least / time;
    if (const auto* p = std::get_if<ops::Conv2d>(&c.attrs); p != nullptr && c.op.starts_with("conv2d"))
      e["conv2d"] = {{"n", c.x[0]},           {"c", c.x[1]},     {"h", c.x[2]},
                     {"w", c.x[3]},           {"o", c.y[1]},     {"k", p->kernel_h},
                     {"stride", p->stride_h}, {"pad", p->pad_h}, {"groups", p->groups}};
    if (backend_ && c.op.starts_with("conv2d")) {
      e["ratio_to_cudnn"] = nullptr;
      for (const KernelRun& library : run.libraries) {
        const std::string name = library.impl.substr(0, library.impl.find('.'));
        e["ratio_to_" + name] = time / median(measure(library));
      }
    }
    compare(e);
    return e;
  }

  void compare(Json& e) {
    const auto old = before_.find(e["name"].get<std::string>());
    if (old == before_.end()) return;
    ++compared_;
    const double ratio = e["real_time"].get<double>() / old->second;
    e["ratio_to"] = ratio;
    if (ratio > 1 + params_.fail_over) slower.emplace_back(ratio, old->first);
  }

  const KernelsParams& params_;
  Context ctx_;
  DeviceBackend backend_;
  std::unique_ptr<KernelRunner> runner_;
  std::string suffix_;
  Ceilings ceilings_;
  std::map<std::string, double> before_;
  int compared_ = 0;
};

std::string lines(const Json& d) {
  std::string text;
  for (const Json& b : d["benchmarks"])
    text +=
        fmt::format("{:>10.3f} ms {:>8.1f} GFLOP/s {:>7.1f} GB/s {:>6.1f} % {}  {}\n",
                    b["real_time"].get<double>(), b.value("gflops", 0.0), b.value("gbps", 0.0),
                    b.value("roofline_pct", 0.0), b["name"].get<std::string>(), b["impl"].get<std::string>());
  const Json& c = d["context"];
  return text + fmt::format("ceilings: {:.1f} GFLOP/s, {:.1f} GB/s\n", c["ceiling_gflops"].get<double>(),
                            c["ceiling_gbps"].get<double>());
}

}  // namespace

std::string kernels_markdown(const Json& d) {
  struct Row {
    int shapes = 0, layers = 0;
    double ms = 0, gflop = 0, gb = 0, least = 0;
  };
  std::map<std::string, Row> rows;
  std::vector<std::string> order;
  for (const Json& b : d["benchmarks"]) {
    const std::string key =
        fmt::format("| {} | {} |", b["network"].get<std::string>(), b["op"].get<std::string>());
    if (!rows.contains(key)) order.push_back(key);
    Row& r = rows[key];
    const double ms = b["real_time"].get<double>() * b["count"].get<int>();
    ++r.shapes, r.layers += b["count"].get<int>(), r.ms += ms;
    r.gflop += b.value("gflops", 0.0) * ms, r.gb += b.value("gbps", 0.0) * ms;
    r.least += b.value("roofline_pct", 0.0) * ms;
  }
  const Json& c = d["context"];
  std::string text = fmt::format(
      "{}, {}, {}, {} threads; `{}`; ceilings measured in the same run: {:.0f} GFLOP/s of multiply-adds "
      "({}), "
      "{:.1f} GB/s copied\n\n"
      "| network | op | shapes | layers | ms for all | GFLOP/s | GB/s | share of ceilings % |\n"
      "|---|---|---:|---:|---:|---:|---:|---:|\n",
      c["executable"].get<std::string>(), c["date"].get<std::string>(),
      c.contains("device") ? c["device"].get<std::string>() : c["cpu_model"].get<std::string>(),
      c["threads"].get<int>(), c["command"].get<std::string>(), c["ceiling_gflops"].get<double>(),
      c["instructions"].get<std::string>(), c["ceiling_gbps"].get<double>());
  for (const std::string& key : order) {
    const Row& r = rows[key];
    text +=
        fmt::format("{} {} | {} | {:.2f} | {} | {:.1f} | {:.0f} |\n", key, r.shapes, r.layers, r.ms,
                    r.gflop > 0 ? fmt::format("{:.1f}", r.gflop / r.ms) : "-", r.gb / r.ms, r.least / r.ms);
  }
  return text;
}

ExitCode bench_kernels(const CommonOptions& common, const KernelsParams& params) {
  const MarkedPage page(params.write, "kernels");
  Kernels bench(common, params);
  const Json d = bench.document();
  if (interrupted()) return ExitCode::kDone;
  if (!params.out.empty())
    write_file_atomically(params.out, d.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  page.write(kernels_markdown(d));
  if (common.json) print_json(d);
  else print(lines(d));
  std::sort(bench.slower.rbegin(), bench.slower.rend());
  for (const auto& [ratio, name] : bench.slower)
    log::warning("{}: {:.2f} times the time of {}, accepted is {:.2f}", name, ratio, params.against,
                 1 + params.fail_over);
  return bench.slower.empty() ? ExitCode::kDone : ExitCode::kRuntime;
}

}  // namespace mtyolo::cli
