// The tuner with a session whose clock the test sets, and on the emulated device with real kernels.
#include "cuda/autotune.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "cuda/conv_tuning.h"
#include "cuda/kernels.h"
#include "cuda/session_simt.h"
#include "tests/support/temp_folder.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;

namespace {

// Time is what the last work said it takes.
class FakeSession : public DeviceSession {
 public:
  double ms = 0;
  int timed = 0;
  const DeviceInfo& info() const override { return info_; }
  Device device() const override { return kCpu; }
  KernelStream stream() override { return {}; }
  const std::shared_ptr<Allocator>& allocator() override { return host_allocator(); }
  void upload(void*, const void*, size_t) override {}
  void download(void*, const void*, size_t) override {}
  void synchronize() override {}
  std::unique_ptr<DeviceGraph> record(const std::function<void()>&) override { return nullptr; }
  void launch(DeviceGraph&) override {}
  double time(const std::function<void()>& work) override { return ++timed, work(), 4 * ms; }

 private:
  DeviceInfo info_;
};

struct Way {
  double ms;
  float result;
};

// Candidates by name; "broken" ones cannot be prepared.
TuneCandidates candidates(FakeSession& session, const std::map<std::string, Way>& ways) {
  TuneCandidates c;
  auto result = std::make_shared<float>(0);
  for (const auto& [name, way] : ways) c.names.push_back(name);
  c.prepare = [&session, ways, result](const std::string& name) -> std::function<void()> {
    if (name == "broken") fail(ExitCode::kRuntime, "x", "no engine");
    return [&session, way = ways.at(name), result] { session.ms = way.ms, *result = way.result; };
  };
  c.result = [result] { return std::vector<float>{*result}; };
  c.tolerance = 1e-3;
  return c;
}

// The first two ways of another one: each is run often, and the emulator is slow.
class FirstTwo : public ConvProvider {
 public:
  explicit FirstTwo(ConvProvider& all) : all_(all) {}
  std::string name() const override { return all_.name(); }
  std::string version() const override { return all_.version(); }
  const char* refuses(const ConvArgs& args) const override { return all_.refuses(args); }
  std::vector<std::string> choices(const ConvArgs& args) override {
    auto names = all_.choices(args);
    names.resize(2);
    return names;
  }
  std::unique_ptr<ConvPlan> plan(const ConvArgs& args, const std::string& choice) override {
    return all_.plan(args, choice);
  }

 private:
  ConvProvider& all_;
};

std::string read_error(const std::string& path, const std::string& text) {
  write_file_atomically(path, text);
  return error_text([&] { Autotuner(TuneMode::kCacheOnly, path); });
}

}  // namespace

TEST_CASE("autotune: the fastest of those that agree with the first is taken and remembered") {
  const TempFolder folder;
  const std::string path = folder.path("tune.txt");
  FakeSession session;
  const log::Capture capture;
  const auto ways =
      candidates(session, {{"a", {3, 1}}, {"b", {1, 1.1f}}, {"c", {2, 1.0001f}}, {"broken", {}}});
  {
    Autotuner tuner(TuneMode::kOn, path);
    CHECK(tuner.choose(session, "key one", ways) == "c");
    CHECK(session.timed == 2 * 14);
    CHECK(tuner.choose(session, "key one", ways) == "c");
    CHECK(tuner.choose(session, "key zero", candidates(session, {{"a", {0.5, 1}}, {"b", {1, 1}}})) == "a");
    CHECK(tuner.measured() == 2);
    tuner.save();
  }
  CHECK(capture.text().find("b for key one is 0.1 away from the first result: not used") !=
        std::string::npos);
  CHECK(read_file(path, 1000) == "# mtyolo autotune 1\nkey one = c @ 2.0000 ms\nkey zero = a @ 0.5000 ms\n");
  session.timed = 0;
  Autotuner again(TuneMode::kCacheOnly, path);
  CHECK(again.choose(session, "key one", ways) == "c");
  CHECK(again.choose(session, "key two", ways) == "a");
  CHECK(Autotuner(TuneMode::kOff, path).choose(session, "key one", ways) == "a");
  CHECK(session.timed == 0);
}

TEST_CASE("autotune: a first way that cannot run is passed over, and when none runs its error is raised") {
  FakeSession session;
  Autotuner tuner(TuneMode::kOn, "");
  CHECK(tuner.choose(session, "k", candidates(session, {{"broken", {}}, {"c", {2, 5}}})) == "c");
  const float none = std::numeric_limits<float>::quiet_NaN();
  CHECK(error_text([&] {
          tuner.choose(session, "l", candidates(session, {{"broken", {}}, {"z", {1, none}}}));
        }) == "no engine");
  CHECK(error_text([&] {
          tuner.choose(session, "m", candidates(session, {{"y", {1, none}}, {"z", {1, none}}}));
        }) == "no implementation computes finite numbers for m");
}

TEST_CASE("autotune: lines that are not of the form are refused with file and line") {
  const TempFolder folder;
  const std::string path = folder.path("tune.txt"), head = "# mtyolo autotune 1\n";
  CHECK(read_error(path, head + "k = a b @ 1 ms\n") == "no error");
  CHECK(read_error(path, "") ==
        path +
            ": line 1: the file begins with '', expected '# mtyolo autotune 1'; remove "
            "the line, or the file to measure again");
  for (const char* line : {"k", "k = a", "k @ 1 ms", " = a @ 1 ms", "k = a @ 1", "k =  @ 1 ms",
                           "k = a @ x ms", "k = a @ -1 ms", "k = a @ nan ms"}) {
    INFO(line);
    CHECK(read_error(path, head + "l = a @ 1 ms\n" + line).find(path + ": line 3: ") == 0);
  }
  CHECK(read_error(path, head + "k = a @ 1 ms\nk = b @ 1 ms\n").find("a second line for 'k'") !=
        std::string::npos);
  CHECK(error_text([] { parse_tune_mode("yes"); }) == "autotune is 'yes', expected off, cache-only or on");
}

TEST_CASE("autotune: kernels of the emulated device are measured on arrays of their own") {
  const std::shared_ptr<DeviceSession> session = open_simt_session();
  const DeviceBackend backend{session, simt::make_device_kernels()};
  std::vector<std::string> absent;
  const ConvProviders all = conv_providers(backend, &absent);
  REQUIRE(all.size() == 2);
  ConvProviders providers;
  providers.push_back(std::make_unique<FirstTwo>(*all.front()));
  ConvArgs args;
  args.math = KernelMath::kF16;
  args.x = {reinterpret_cast<void*>(0x1010), KernelType::kF16, 1, 4, 4, 16, 24};  // never read
  args.weight = reinterpret_cast<void*>(0x2000), args.weight_stride = 24;
  args.y = {reinterpret_cast<void*>(0x3020), KernelType::kF16, 1, 4, 4, 32, 48};
  Autotuner tuner(TuneMode::kOn, "");
  const ChosenConv tuned = tune_conv(*session, providers, args, "", tuner);
  CHECK(tuned.name.find("simt.igemm ") == 0);
  CHECK(tuner.measured() == 1);
  CHECK(conv_key(args, session->info(), providers)
            .find("conv2d f16 1x4x4x16/24 32 1x1 s1 p0 g1 f16/48 none | ") == 0);
  const std::string none = error_text([&] { tune_conv(*session, providers, args, "cudnn.graph", tuner); });
  CHECK(none.find("no implementation takes this") != std::string::npos);
  args.math = KernelMath::kS8;
  const std::string refused = error_text([&] { tune_conv(*session, providers, args, "simt.igemm", tuner); });
  CHECK(refused.find("\n  simt.igemm: ") != std::string::npos);
}
