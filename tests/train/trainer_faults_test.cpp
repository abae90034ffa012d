// Runs in which something goes wrong on purpose (core/fault.h). A build without faults skips them.
#include <catch2/catch.hpp>
#include <filesystem>

#include "core/fault.h"
#include "core/log.h"
#include "models/weights/digest.h"
#include "tests/support/skip.h"
#include "tests/support/throws.h"
#include "tests/train/tiny_run.h"

using namespace mtyolo;
using namespace mtyolo::train;
using namespace mtyolo::test;
namespace fs = std::filesystem;

namespace {

struct Faults {
  explicit Faults(const std::string& spec) { fault::configure(spec); }
  ~Faults() { fault::configure(""); }
};

struct Heard : Observer {
  std::vector<std::string> codes;
  void on_warning(const std::string& code, const std::string&) override { codes.push_back(code); }
  int64_t count(const std::string& code) const { return std::count(codes.begin(), codes.end(), code); }
};

}  // namespace

TEST_CASE("train faults: a loss or gradient that is not finite is skipped, counted and named",
          "[train][faults]") {
  if (!fault::compiled()) MTYOLO_SKIP("built without MTYOLO_FAULTS");
  TinyRun tiny;
  tiny.settings.epochs = 2;
  for (const char* spec : {"loss:3,nan", "grad:3,nan"}) {
    INFO(spec);
    const log::Capture log;
    const Faults faults(spec);
    Heard heard;
    const std::string name(spec, 4);
    const Outcome o = tiny.run(name, {{&heard}, {}});
    CHECK(o.skipped_steps == 1);
    CHECK(o.rollbacks == 0);
    CHECK(heard.codes == std::vector<std::string>{"non_finite"});
    CHECK(log.text().find(name == "loss" ? "the loss is not finite (heads: all)"
                                         : "the gradient of model.") != std::string::npos);
    CHECK(log.text().find("images of the skipped batch: ") != std::string::npos);
    CHECK(log.text().find("set/images/") != std::string::npos);
    CHECK(models::non_finite_tensors(tiny.last(name).model).empty());
  }
}

TEST_CASE("train faults: learned weights and surgery forget a window that is not finite", "[train][faults]") {
  if (!fault::compiled()) MTYOLO_SKIP("built without MTYOLO_FAULTS");
  TinyRun tiny("heads:\n  a: {classes: [0]}\n  b: {classes: [1]}\n");
  tiny.settings.epochs = 2;
  for (const char* rule : {"learned", "pcgrad"})
    for (const char* spec : {"loss:3,nan", "grad:3,nan"}) {
      INFO(rule << " " << spec);
      const log::Capture quiet;
      const Faults faults(spec);
      tiny.settings.head_loss = rule;
      const std::string name = rule + std::string(spec, 4);
      CHECK(tiny.run(name).skipped_steps == 1);
      const models::Checkpoint last = tiny.last(name);
      CHECK(models::non_finite_tensors(last.model).empty());
      CHECK(models::non_finite_tensors(last.optimizer).empty());
    }
}

TEST_CASE("train faults: running statistics forget a batch whose loss was not finite", "[train][faults]") {
  if (!fault::compiled()) MTYOLO_SKIP("built without MTYOLO_FAULTS");
  TinyRun tiny;
  tiny.settings.epochs = 1;
  tiny.settings.nbs = 4;
  const log::Capture quiet;
  tiny.run("good");
  {
    const Faults faults("loss:4,nan");
    tiny.run("bad");
  }
  const auto mean = [&](const std::string& name) {
    return tiny.last(name).optimizer.find("optimizer.weights.model.0.bn.num_batches_tracked")->at({});
  };
  CHECK(mean("good") == mean("bad") + 1);
}

TEST_CASE("train faults: ten bad batches in a row go back to the last good state, at most three times",
          "[train][faults]") {
  if (!fault::compiled()) MTYOLO_SKIP("built without MTYOLO_FAULTS");
  TinyRun tiny;
  tiny.settings.epochs = 6;
  const log::Capture log;
  {
    // A bad stretch of 12 losses: the second try gets through.
    std::string spec;
    for (int i = 5; i < 17; ++i) spec += fmt::format("loss:{},nan;", i);
    const Faults faults(spec);
    Heard heard;
    const Outcome o = tiny.run("once", {{&heard}, {}});
    CHECK(o.rollbacks == 1);
    CHECK(heard.count("rollback") == 1);
    CHECK(o.epochs_done == 6);
    CHECK(state_from(tiny.last("once")).results.rows.size() == 6);
  }
  const Faults faults("loss:6+,nan");
  tiny.settings.epochs = 60;
  const std::string text = error_text([&] { tiny.run("always"); });
  CHECK(
      text.find(
          "training diverged: after 3 returns to the last good state the loss is not finite (heads: all)") !=
      std::string::npos);
  CHECK(models::non_finite_tensors(tiny.last("always").model).empty());
}

TEST_CASE("train faults: weights that are not finite are never written", "[train][faults]") {
  if (!fault::compiled()) MTYOLO_SKIP("built without MTYOLO_FAULTS");
  TinyRun tiny;
  const log::Capture log;
  const Faults faults("weight:3,nan");
  const Outcome o = tiny.run("a");
  CHECK(o.rollbacks == 1);
  CHECK(o.epochs_done == 3);
  CHECK(log.text().find("the weight model.") != std::string::npos);
}

TEST_CASE("train faults: a full disk costs checkpoints, not the run, unless it is the last one",
          "[train][faults]") {
  if (!fault::compiled()) MTYOLO_SKIP("built without MTYOLO_FAULTS");
  TinyRun tiny;
  const log::Capture log;
  tiny.run("whole");
  for (int n : {100, 250, 600}) {
    const Faults faults(fmt::format("write:{},fail=ENOSPC", n));
    Heard heard;
    const std::string name = fmt::format("full{}", n);
    INFO(name);
    tiny.run(name, {{&heard}, {}});
    CHECK(heard.codes.size() == 1);
    CHECK(first_difference(tiny.last("whole"), tiny.last(name)) == "");
  }
  const Faults faults("write:400+,fail=ENOSPC");
  CHECK(error_code([&] { tiny.run("last"); }) == "file_write");
  CHECK(state_from(find_checkpoint(tiny.run_folder("last"))).settings.epochs == 3);  // an older one is whole
}

TEST_CASE("train faults: images that cannot be read any more are replaced, named and counted",
          "[train][faults]") {
  if (!fault::compiled()) MTYOLO_SKIP("built without MTYOLO_FAULTS");
  TinyRun tiny;
  tiny.settings.noval = true;
  const log::Capture log;
  {
    const Faults faults("decode:20,fail=EIO");  // the scan has read all sixteen
    Heard heard;
    CHECK(tiny.run("one", {{&heard}, {}}).unreadable == 1);
    CHECK(heard.codes == std::vector<std::string>{"image_unreadable"});
  }
  {
    const Faults faults("decode:25+,fail=EIO");
    CHECK(error_code([&] { tiny.run("all"); }) == "images_unreadable");
    CHECK(state_from(tiny.last("all")).batch == 2);  // what was learned is kept
  }
  {
    const Faults faults("label:3,fail=EIO");
    CHECK(tiny.run("label").left_out == 1);
  }
}

TEST_CASE("train faults: the time limit ends a run that can go on", "[train][faults]") {
  if (!fault::compiled()) MTYOLO_SKIP("built without MTYOLO_FAULTS");
  TinyRun tiny;
  const log::Capture quiet;
  tiny.run("whole");
  tiny.settings.time_limit = 1;
  {
    const Faults faults("clock:8+,jump=3700");
    CHECK(tiny.run("limited").reason == EndReason::kTimeLimit);
  }
  CHECK(tiny.resume("limited").reason == EndReason::kEpochs);
  CHECK(first_difference(tiny.last("whole"), tiny.last("limited")) == "");
}
