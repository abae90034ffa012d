#include "train/checkpoint_store.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "core/fault.h"
#include "core/log.h"
#include "tests/support/skip.h"
#include "tests/support/temp_folder.h"
#include "tests/support/throws.h"
#include "train/training_state.h"

using namespace mtyolo;
using namespace mtyolo::train;
using test::error_code;
namespace fs = std::filesystem;

namespace {

Snapshot snapshot(int64_t iteration, std::vector<std::string> also = {}) {
  TrainingState state;
  state.iteration = state.epoch = iteration;
  Snapshot s;
  put_state(state, s.checkpoint);
  s.checkpoint.model.add("model.0.w", Tensor::full({64}, double(iteration)));
  s.checkpoint.model.add("model.0.anchors", Tensor::full({2}, 1.0 / 3));
  s.checkpoint.ema.add("model.0.w", Tensor::full({64}, -double(iteration)));
  s.checkpoint.ema.add("model.0.anchors", Tensor::full({2}, 1.0 / 3));
  s.checkpoint.optimizer.add("optimizer.momentum.model.0.w", Tensor::full({64}, 0.5));
  s.also = std::move(also);
  return s;
}

int64_t iteration_of(const std::string& path) { return state_from(find_checkpoint(path)).iteration; }

void damage(const std::string& path) {
  std::string bytes = read_file(path, 1 << 20);
  bytes[bytes.size() / 2] = char(bytes[bytes.size() / 2] ^ 0x10);
  write_file_atomically(path, bytes);
}

}  // namespace

TEST_CASE("checkpoints: last, its predecessor, further names and best", "[train][checkpoint]") {
  const test::TempFolder run;
  CheckpointStore store(run.path());
  store.write_last(snapshot(1, {"init.pt"}));
  store.write_last(snapshot(2, {"epoch_002.pt"}));
  Snapshot third = snapshot(3);
  third.best = {"best.pt", "best_a.pt"};
  store.write_last(std::move(third));
  for (const WrittenCheckpoint& w : store.take_results(true)) CHECK(w.error == "");
  CHECK(iteration_of(run.path()) == 3);
  CHECK(iteration_of(store.path("last_prev.pt")) == 2);
  CHECK(iteration_of(store.path("epoch_002.pt")) == 2);
  CHECK(iteration_of(store.path("init.pt")) == 1);
  const models::Checkpoint best = models::read_checkpoint(store.path("best.pt"));
  CHECK(best.ema.empty());
  CHECK(best.optimizer.empty());
  CHECK(best.model.find("model.0.w")->dtype() == DType::kF16);
  CHECK(best.model.find("model.0.w")->at({0}) == -3);
  CHECK(best.model.find("model.0.anchors")->dtype() == DType::kF32);
  CHECK(error_code([&] { state_from(best); }) == "no_state");
  CHECK(models::read_checkpoint(store.path("best_a.pt")).model.find("model.0.w")->at({0}) == -3);
}

TEST_CASE("checkpoints: a damaged one is passed over for the newest that is whole", "[train][checkpoint]") {
  const test::TempFolder run;
  {
    CheckpointStore store(run.path());
    store.write_last(snapshot(5));
    store.write_last(snapshot(6, {"epoch_006.pt"}));
    store.write_last(snapshot(7));
    store.write_last(snapshot(8));
  }
  const std::string weights = run.path("weights/");
  damage(weights + "last.pt");
  {
    const log::Capture capture;
    CHECK(iteration_of(run.path()) == 7);
    CHECK(capture.text().find("last.pt is passed over: ") != std::string::npos);
  }
  const log::Capture capture;
  damage(weights + "last_prev.pt");
  CHECK(iteration_of(run.path()) == 6);
  CHECK(error_code([&] { find_checkpoint(weights + "last.pt"); }) != "no error");  // named: taken or refused
  fs::resize_file(weights + "epoch_006.pt", 10);
  CHECK(error_code([&] { find_checkpoint(run.path()); }) == "resume");
}

TEST_CASE("checkpoints: two trainers never share a run folder", "[train][checkpoint]") {
  const test::TempFolder run;
  const CheckpointStore store(run.path());
  CHECK(error_code([&] { CheckpointStore second(run.path(), 0.1); }) == "locked");
}

TEST_CASE("checkpoints: the run of a path, and the newest run", "[train][checkpoint]") {
  const test::TempFolder project;
  for (const char* name : {"exp", "exp2"}) {
    CheckpointStore store(project.path(name));
    store.write_last(snapshot(1));
  }
  fs::create_directories(project.path("exp3/weights"));
  const auto now = fs::file_time_type::clock::now();
  fs::last_write_time(project.path("exp/weights/last.pt"), now);
  fs::last_write_time(project.path("exp2/weights/last.pt"), now - std::chrono::hours(1));
  CHECK(newest_run(project.path()) == project.path("exp"));
  CHECK(error_code([&] { newest_run(project.path("none")); }) == "resume");
  CHECK(run_folder_of(project.path("exp")) == project.path("exp"));
  CHECK(run_folder_of(project.path("exp2/weights/last.pt")) == project.path("exp2"));
  CHECK(error_code([&] { run_folder_of(project.path("exp/weights/none.pt")); }) == "resume");
}

TEST_CASE("checkpoints: wherever a write fails, a whole checkpoint stays", "[train][checkpoint]") {
  if (!fault::compiled()) MTYOLO_SKIP("built without MTYOLO_FAULTS");
  for (const char* site : {"write", "fsync", "rename"}) {
    for (int n = 1; n < 40; ++n) {
      INFO(site << ":" << n);
      const test::TempFolder run;
      CheckpointStore store(run.path());
      store.write_last(snapshot(1));
      store.write_last(snapshot(2));
      CHECK(store.take_results(true).size() == 2);
      fault::configure(fmt::format("{}:{},fail=ENOSPC", site, n));
      store.write_last(snapshot(3));
      const auto results = store.take_results(true);
      fault::configure("");
      REQUIRE(results.size() == 1);
      const bool failed = !results[0].error.empty();
      CHECK(iteration_of(run.path()) == (failed ? 2 : 3));
      CHECK(iteration_of(store.path("last_prev.pt")) <= 2);
      for (const auto& entry : fs::directory_iterator(run.path("weights")))
        CHECK(entry.path().filename().string()[0] != '.');
      store.write_last(snapshot(4));
      CHECK(store.take_results(true)[0].error.empty());
      CHECK(iteration_of(run.path()) == 4);
      if (!failed) break;
      CHECK(n < 39);
    }
  }
}
