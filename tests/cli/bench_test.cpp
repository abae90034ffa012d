// mtyolo bench, as its users and a referee call it.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/file.h"
#include "tests/cli/command.h"
#include "tests/support/golden.h"
#include "tests/support/skip.h"

using namespace mtyolo;
using namespace mtyolo::test;
using nlohmann::json;

namespace {

// 16 channels at stride 8, one level: a run takes microseconds.
std::string write_small_cfg(const TempFolder& folder) {
  const std::string path = folder.path("small.yaml");
  write_file_atomically(
      path,
      "nc: 2\ndepth_multiple: 1.0\nwidth_multiple: 1.0\nanchors: [[10, 13, 16, 30]]\n"
      "backbone: [[-1, 1, Conv, [8, 3, 2]], [-1, 1, Conv, [16, 3, 2]], [-1, 1, Conv, [16, 3, 2]]]\n"
      "head: [[[2], 1, Detect, [nc, anchors]]]\n");
  return path;
}

CommandResult bench(const std::string& model, std::vector<std::string> more, const std::string& input = {}) {
  std::vector<std::string> words{"bench",      "model", model,       "--img-size", "64",
                                 "--min-time", "0",     "--threads", "1"};
  words.insert(words.end(), more.begin(), more.end());
  return run_mtyolo(words, input);
}

}  // namespace

TEST_CASE("bench: the document has Google Benchmark's layout, the start and the memory", "[cli][bench]") {
  const TempFolder folder;
  const std::string cfg = write_small_cfg(folder);
  const CommandResult r = bench(cfg, {"--reps", "4", "--warmup", "1", "--json", "--verbose", "--quiet"});
  CHECK(r.exit_code == 0);
  const json d = json::parse(r.out);
  CHECK(d["kind"] == "bench");
  CHECK(d["context"]["threads"] == 1);
  CHECK(d["context"]["num_cpus"] >= 1);
  REQUIRE(d["benchmarks"].size() == 1);
  const json& b = d["benchmarks"][0];
  CHECK(b["name"] == "model/small/64/1");
  CHECK(b["time_unit"] == "ms");
  CHECK(b["iterations"] == 4);
  CHECK(b["real_time"] > 0.0);
  CHECK(b["min_time"] <= b["real_time"]);
  CHECK(b["real_time"] <= b["max_time"]);
  CHECK(b["cpu_time"] > 0.0);
  // 2 * (32*32*8*27 + 16*16*16*72 + 8*8*16*144 + 8*8*14*16) operations
  const double flops = 2.0 * (221184 + 294912 + 147456 + 14336);
  CHECK(b["gflops"].get<double>() * b["real_time"].get<double>() * 1e6 == Approx(flops));
  double layers = 0;
  for (const json& l : b["layers"]) layers += l["gflops"].get<double>() * l["ms"].get<double>() * 1e6;
  CHECK(layers == Approx(flops));
  CHECK(b["layers"][0]["op"] == "input");
  CHECK(b["layers"].back()["op"] == "detect_decode");
  CHECK(d["start_s"] > 0.0);
  CHECK(d["start_s"] < 60.0);
  CHECK(d["rss_mib"] > 1.0);
}

TEST_CASE("bench: --stdio answers the lines of a referee", "[cli][bench]") {
  const TempFolder folder;
  const CommandResult r =
      bench(write_small_cfg(folder), {"--stdio"}, "run 3\n\n run 1 \nceiling 2\nquit\nrun 5\n");
  CHECK(r.exit_code == 0);
  std::istringstream lines(r.out);
  std::vector<json> answers;
  for (std::string line; std::getline(lines, line);) answers.push_back(json::parse(line));
  REQUIRE(answers.size() == 5);
  CHECK(answers[0] == json{{"ready", true}});
  CHECK(answers[1]["ms"].size() == 3);
  CHECK(answers[1]["ms"][0] > 0.0);
  CHECK(answers[2]["ms"].size() == 1);
  REQUIRE(answers[3]["ms"].size() == 2);
  CHECK(answers[3]["ms"][1] > 0.0);
  CHECK(answers[4]["rss_mib"] > 1.0);
}

// The shadow memory of a sanitizer counts too.
#if defined(__has_feature)
#define MTYOLO_HAS_FEATURE(x) __has_feature(x)
#else
#define MTYOLO_HAS_FEATURE(x) 0
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
    !MTYOLO_HAS_FEATURE(address_sanitizer) && !MTYOLO_HAS_FEATURE(thread_sanitizer)
TEST_CASE("bench: yolov7 takes at most 450 MiB, 300 with --low-memory, also from kept packed weights",
          "[cli][bench]") {
  const auto weights = shared_folder() / "goldens/checkpoint/yolov7/yolov7.pt";
  if (!std::filesystem::exists(weights))
    MTYOLO_SKIP("no golden data");  // its weights are no part of the project
  std::vector<std::string> words{"bench", "model", weights.string(), "--threads", "2", "--stdio"};
  const auto peak_mib = [&] {
    const std::string out = run_mtyolo(words, "quit\n").out;
    return json::parse(out.substr(out.find('\n')))["rss_mib"].get<double>();
  };
  const TempFolder cache;
  ::setenv("MTYOLO_CACHE", cache.path().c_str(), 1);
  for (int start = 0; start < 3; ++start) CHECK(peak_mib() <= 450);
  std::vector<uintmax_t> kept;  // beside marks of files that were found right
  for (const auto& file : std::filesystem::directory_iterator(cache.path()))
    if (file.path().filename().string().starts_with("packed-")) kept.push_back(file.file_size());
  REQUIRE(kept.size() == 1);
  CHECK(kept[0] > 300'000'000);
  words.emplace_back("--low-memory");
  CHECK(peak_mib() <= 300);
  ::setenv("MTYOLO_CACHE", "", 1);
}
#endif

TEST_CASE("bench: --stdio ends with the input and refuses other lines", "[cli][bench]") {
  const TempFolder folder;
  const std::string cfg = write_small_cfg(folder);
  const CommandResult end = bench(cfg, {"--stdio"}, "run 1");
  CHECK(end.exit_code == 0);
  CHECK(end.out.find("rss_mib") != std::string::npos);
  for (const char* line : {"walk 1\n", "run\n", "run 0\n", "run -1\n", "run 1e3\n", "run 99999999\n",
                           "ceiling\n", "ceiling 0\n", "ceilings 1\n"}) {
    const CommandResult bad = bench(cfg, {"--stdio"}, line);
    CHECK(bad.exit_code == 2);
    CHECK(bad.err.find("expected 'run K', 'ceiling K' or 'quit'") != std::string::npos);
  }
  CHECK(bench(cfg, {"--stdio", "--out", folder.path("x.json")}).exit_code == 2);
}

TEST_CASE("bench: --against compares with an earlier file and fails on a slowdown", "[cli][bench]") {
  const TempFolder folder;
  const std::string cfg = write_small_cfg(folder), file = folder.path("before.json");
  CHECK(bench(cfg, {"--reps", "3", "--out", file}).exit_code == 0);
  json before = json::parse(read_file(file, size_t{1} << 20));
  const std::vector<std::string> again{"--reps", "3", "--json", "--against", file};

  before["benchmarks"][0]["real_time"] = 1e6;
  write_file_atomically(file, before.dump());
  const CommandResult faster = bench(cfg, again);
  CHECK(faster.exit_code == 0);
  CHECK(json::parse(faster.out)["benchmarks"][0]["ratio_to"] < 0.01);

  before["benchmarks"][0]["real_time"] = 1e-6;
  write_file_atomically(file, before.dump());
  const CommandResult slower = bench(cfg, again);
  CHECK(slower.exit_code == 1);
  CHECK(json::parse(slower.out)["benchmarks"][0]["ratio_to"] > 1.1);
  CHECK(slower.err.find("accepted is 1.10") != std::string::npos);

  for (const char* text : {"", "[", "{}", "{\"benchmarks\": [1, {\"name\": \"model/small/64/1\"}]}"}) {
    write_file_atomically(file, text);
    const CommandResult bad = bench(cfg, again);
    CHECK(bad.exit_code == 3);
    CHECK(json::parse(bad.out)["code"] == "bench_report");
  }
}

TEST_CASE("bench: a model on a device is timed apart from its transfers", "[cli][bench]") {
  const CommandResult r =
      run_mtyolo({"bench", "model", "demo", "--device", "simt", "--dtype", "fp16", "--img-size", "32",
                  "--reps", "1", "--warmup", "0", "--min-time", "0", "--json", "--verbose"});
  INFO(r.err);
  REQUIRE(r.exit_code == 0);
  const nlohmann::json b = nlohmann::json::parse(r.out)["benchmarks"][0];
  CHECK(b["name"] == "model/demo/32/1/fp16/simt");
  CHECK(b["device"]["kernels"].get<int>() == int(b["layers"].size()) + 1);  // decoding is no layer
  for (const char* field :
       {"ms_per_image", "upload_ms_per_image", "download_ms_per_image", "arena_mib", "weights_mib"})
    CHECK(b["device"][field].get<double>() > 0);
  CHECK(run_mtyolo({"bench", "train", "demo", "--device", "simt"}).exit_code == 2);
}

TEST_CASE("bench: what cannot be timed is refused by name", "[cli][bench]") {
  CHECK(run_mtyolo({"bench"}).exit_code == 2);
  const CommandResult later = run_mtyolo({"bench", "serve"});
  CHECK(later.exit_code == 2);
  CHECK(later.err.find("bench serve is not part of this version") != std::string::npos);
  const CommandResult wrong = run_mtyolo({"bench", "modell", "yolov7"});
  CHECK(wrong.exit_code == 2);
  CHECK(wrong.err.find("did you mean 'model'?") != std::string::npos);
  CHECK(run_mtyolo({"bench", "model"}).exit_code == 2);
  CHECK(run_mtyolo({"bench", "model", "a.pt", "b.pt"}).exit_code == 2);
  CHECK(run_mtyolo({"bench", "model", "no_such.pt"}).exit_code == 4);
  const CommandResult type = run_mtyolo({"bench", "model", "yolov7-tiny", "--dtype", "tf32"});
  CHECK(type.exit_code == 2);
  CHECK(type.err.find("inference on the CPU computes in fp32 or bf16") != std::string::npos);
}
