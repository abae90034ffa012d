// mtyolo bench kernels: which layers it times, and its document.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/bench_workload.h"
#include "core/file.h"
#include "tests/cli/command.h"

using namespace mtyolo;
using namespace mtyolo::test;
using cli::KernelCase;
using nlohmann::json;

namespace {

CommandResult bench(std::vector<std::string> more) {
  std::vector<std::string> words{"bench", "kernels", "--reps", "1", "--min-time", "0", "--threads", "1"};
  words.insert(words.end(), more.begin(), more.end());
  if (std::find(words.begin(), words.end(), "--device") == words.end())
    words.insert(words.end(), {"--device", "cpu"});
  return run_mtyolo(words);
}

struct Sums {
  int shapes = 0, layers = 0;
  double gflop = 0;
};

Sums sums_of(const std::vector<KernelCase>& cases, const std::string& op) {
  Sums s;
  for (const KernelCase& c : cases)
    if (c.op == op) ++s.shapes, s.layers += c.count, s.gflop += c.flops * c.count * 1e-9;
  return s;
}

}  // namespace

TEST_CASE("bench kernels: the convolutions are those that cuda.md counts", "[cli][bench]") {
  struct Network {
    const char* name;
    int size, layers, shapes;
    double gflop;
  };
  for (const Network& n : {Network{"yolov7", 640, 92, 47, 104.5},
                           {"yolov7-tiny", 640, 58, 34, 13.7},
                           {"yolov7-w6", 1280, 107, 48, 359.7}}) {
    INFO(n.name);
    const auto cases = cli::kernel_workload(n.name, n.size, 1);
    const Sums forward = sums_of(cases, "conv2d_forward");
    CHECK(forward.layers == n.layers);
    CHECK(forward.shapes == n.shapes);
    CHECK(forward.gflop == Approx(n.gflop).margin(0.06));
    std::set<std::string> names;
    for (const KernelCase& c : cases) names.insert(c.name());
    CHECK(names.size() == cases.size());
    CHECK(sums_of(cases, "conv2d_dgrad").layers == sums_of(cases, "conv2d_wgrad").layers - 1);  // the stem
    CHECK(sums_of(cases, "batch_norm_forward").layers == sums_of(cases, "batch_norm_backward").layers);
    CHECK(sums_of(cases, "detect_decode").layers == (n.size == 640 ? 3 : 4));
  }
}

TEST_CASE("bench kernels: layers of training, of Winograd's form and of a batch", "[cli][bench]") {
  const auto cases = cli::kernel_workload("yolov7", 640, 2);
  const auto find = [&](const std::string& name) {
    return std::find_if(cases.begin(), cases.end(), [&](const KernelCase& c) { return c.name() == name; });
  };
  const auto wide = find("conv2d_forward/yolov7/k3s1_80x80_128_128_b2");
  REQUIRE(wide != cases.end());
  CHECK(wide->count == 4);
  CHECK(wide->flops == 2.0 * 2 * 80 * 80 * 128 * 128 * 9);
  CHECK(wide->form_flops == Approx(wide->flops * 36 / 144));  // F(4x4, 3x3)
  CHECK(wide->bytes == 4.0 * (2.0 * 2 * 80 * 80 * 128 + 128 * 128 * 9));
  CHECK(wide->activation.kind == ops::ActivationKind::kSilu);
  CHECK(find("conv2d_igemm/yolov7/k3s1_80x80_128_128_b2") != cases.end());
  CHECK(find("conv2d_igemm/yolov7/k1s1_80x80_128_128_b2") == cases.end());
  const auto strided = find("conv2d_forward/yolov7/k3s2_160x160_128_128_b2"),
             gradient = find("conv2d_wgrad/yolov7/k3s2_160x160_128_128_b2");
  REQUIRE((strided != cases.end() && gradient != cases.end()));
  CHECK(strided->form_flops == Approx(strided->flops * 25 / 36));
  CHECK(gradient->form_flops == gradient->flops);
  CHECK(find("conv2d_forward/yolov7/k1s1_80x80_128_256_b2") == cases.end());  // RepConv's branch
  CHECK(find("conv2d_wgrad/yolov7/k1s1_80x80_128_256_b2") != cases.end());
  CHECK(find("batch_norm_backward/yolov7/silu_80x80_128_b2") != cases.end());
  CHECK(find("max_pool_forward/yolov7/k2s2_160x160_256_b2") != cases.end());
  CHECK(find("upsample_backward/yolov7/20x20_256_b2") != cases.end());
  const auto step = find("optimizer_step/yolov7/sgd_37622682");
  REQUIRE(step != cases.end());
  CHECK(step->bytes == 32.0 * 37622682);
}

TEST_CASE("bench kernels: every op runs and is reported in Google Benchmark's layout", "[cli][bench]") {
  const CommandResult r =
      bench({"--shapes", "yolov7-tiny-32", "yolov7-w6-64", "--json", "--quiet", "--filter",
             "_1x1_,_2x2_,_4x4_,/1x1_,/2x2_,64x64_,drawn,optimizer_step/yolov7-tiny"});
  REQUIRE(r.exit_code == 0);
  const json d = json::parse(r.out);
  CHECK(d["kind"] == "bench");
  CHECK(d["context"]["threads"] == 1);
  const double gflops = d["context"]["ceiling_gflops"], gbps = d["context"]["ceiling_gbps"];
  CHECK(gflops > 0.1);
  CHECK(gbps > 0.01);
  std::set<std::string> ops;
  for (const json& b : d["benchmarks"]) {
    INFO(b.dump());
    ops.insert(b["op"].get<std::string>());
    CHECK(b["time_unit"] == "ms");
    CHECK(b["iterations"] == 1);
    CHECK(b["real_time"] > 0.0);
    CHECK(b["cpu_time"] >= 0.0);
    if (b["op"] == "nms") continue;
    CHECK(b["gbps"] > 0.0);
    if (b["op"] != "conv2d_igemm") continue;  // the form that is counted
    CHECK(b["roofline_pct"].get<double>() ==
          Approx(100 * std::max(b["gflops"].get<double>() / gflops, b["gbps"].get<double>() / gbps)));
  }
  CHECK(ops == std::set<std::string>{"batch_norm_backward", "batch_norm_forward", "conv2d_dgrad",
                                     "conv2d_forward", "conv2d_igemm", "conv2d_wgrad", "copy",
                                     "detect_decode", "letterbox", "max_pool_backward", "max_pool_forward",
                                     "nms", "optimizer_step", "space_to_depth", "upsample_backward",
                                     "upsample_forward"});
}

TEST_CASE("bench kernels: forward ops in bf16, but what computes in f32 alone", "[cli][bench]") {
  const CommandResult r = bench({"--shapes", "yolov7-tiny-32", "--dtype", "bf16", "--device", "cpu", "--json",
                                 "--filter", "k1s1_1x1_256_128,k3s1_2x2_128,upsample_forward,detect_decode"});
  REQUIRE(r.exit_code == 0);
  std::set<std::string> found;
  const json d = json::parse(r.out);
  for (const json& b : d["benchmarks"])
    found.insert(b["op"].get<std::string>() + " " + b["impl"].get<std::string>());
  CHECK(found.contains("conv2d_forward cpu.igemm"));
  CHECK(found.contains("conv2d_forward cpu.winograd"));
  CHECK(found.contains("upsample_forward cpu.blocked"));
  CHECK_FALSE(found.contains("detect_decode cpu.blocked"));
}

TEST_CASE("bench kernels: --against marks what became slower, --write fills a page", "[cli][bench]") {
  const TempFolder folder;
  const std::string file = folder.path("before.json"), page = folder.path("page.md");
  const std::vector<std::string> words{"--shapes", "yolov7-tiny-32", "--filter", "upsample_forward",
                                       "--json"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), words.begin(), words.end());
    return bench(more);
  };
  write_file_atomically(page, "a\n<!-- bench kernels: begin -->\nold\n<!-- bench kernels: end -->\nz\n");
  CHECK(with({"--out", file, "--write", page}).exit_code == 0);
  const std::string text = read_file(page, size_t{1} << 20);
  CHECK(text.find("| yolov7-tiny | upsample_forward | 2 | 2 |") != std::string::npos);
  CHECK(text.find("`mtyolo bench kernels --shapes yolov7-tiny-32 --filter") != std::string::npos);
  CHECK(text.find("old") == std::string::npos);
  json before = json::parse(read_file(file, size_t{1} << 20));
  REQUIRE(before["benchmarks"].size() == 2);
  before["benchmarks"][0]["real_time"] = 1e-9;
  before["benchmarks"][1]["real_time"] = 1e9;
  write_file_atomically(file, before.dump());
  const CommandResult slower = with({"--against", file});
  CHECK(slower.exit_code == 1);
  CHECK(slower.err.find(before["benchmarks"][0]["name"].get<std::string>() + ": ") != std::string::npos);
  CHECK(slower.err.find(before["benchmarks"][1]["name"].get<std::string>()) == std::string::npos);
  CHECK(json::parse(slower.out)["benchmarks"][1]["ratio_to"] < 0.01);
  write_file_atomically(file, R"({"benchmarks": [{"name": "conv", "real_time": 1}]})");
  CHECK(with({"--against", file}).exit_code == 3);
}

TEST_CASE("bench kernels: the emulated device runs its kernels and says that they are no times",
          "[cli][bench]") {
  const CommandResult r = bench(
      {"--shapes", "yolov7-tiny-32", "demo-32", "--device", "simt", "--dtype", "fp16", "--json", "--filter",
       "tiny/k1s1_1x1_256_128,tiny/1x1,tiny/k5s1_1x1,tiny/leaky_relu_1x1_256,letterbox,step/demo"});
  REQUIRE(r.exit_code == 0);
  const json d = json::parse(r.out);
  CHECK(d["context"]["times_mean_nothing"] == true);
  std::set<std::string> ops;
  for (const json& b : d["benchmarks"]) {
    INFO(b.dump());
    const std::string op = b["op"];
    ops.insert(op);
    CHECK(b["name"].get<std::string>().ends_with("/fp16/simt"));
    CHECK(b["impl"].get<std::string>().starts_with("simt."));
    CHECK(b["real_time"] > 0.0);
    CHECK(b["gbps"] > 0.0);
    CHECK(b.contains("ratio_to_cudnn") == op.starts_with("conv2d"));
  }
  CHECK(ops == std::set<std::string>{"batch_norm_backward", "batch_norm_forward", "conv2d_dgrad",
                                     "conv2d_forward", "conv2d_wgrad", "copy", "detect_decode", "letterbox",
                                     "max_pool_backward", "max_pool_forward", "optimizer_step",
                                     "upsample_backward", "upsample_forward"});
}

TEST_CASE("bench kernels: what cannot be timed is refused", "[cli][bench]") {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"--filter", "no such op"},
                                             {"--shapes", "yolov7"},
                                             {"--shapes", "yolov7-31"},
                                             {"--shapes", "yolov9-640"},
                                             {"--stdio"},
                                             {"--epochs", "3"},
                                             {"--dtype", "fp16"},
                                             {"--impl", "conv2d=cpu.reference"},
                                             {"yolov7.pt"},
                                             {"--write", "LICENSE"}}) {
    INFO(words[0] << " " << words.back());
    CHECK(bench(words).exit_code == 2);
  }
}
