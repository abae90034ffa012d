// `mtyolo train` from outside: signals, kills, JSON lines, resuming.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/signals.h"
#include "core/log.h"
#include "core/random.h"
#include "tests/cli/command.h"
#include "tests/support/throws.h"
#include "tests/train/tiny_run.h"

using namespace mtyolo;
using namespace mtyolo::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

CommandResult go_on(const TinyRun& tiny, const std::string& name, std::vector<std::string> more = {}) {
  std::vector<std::string> words{"train", "--resume", tiny.run_folder(name), "--threads", "1", "--quiet"};
  words.insert(words.end(), more.begin(), more.end());
  return run_mtyolo(words);
}

// The run, sent `signal` after so many seconds; `resume`: go on with it instead of starting it.
CommandResult run_for(const TinyRun& tiny, const std::string& name, const std::string& signal, double seconds,
                      bool resume = false) {
  std::vector<std::string> words = tiny.words(name);
  if (resume) words = {"train", "--resume", tiny.run_folder(name), "--threads", "1", "--quiet"};
  std::vector<std::string> command{
      "timeout", "--preserve-status", "-s", signal, fmt::format("{:.3f}", seconds), mtyolo_binary()};
  command.insert(command.end(), words.begin(), words.end());
  return run_program(command);
}

// Kills at random moments until the run gets through; it must end as if nothing had happened.
void kill_often(int kills, uint64_t seed) {
  TinyRun tiny;
  tiny.settings.epochs = 4;
  REQUIRE(run_mtyolo(tiny.words("whole")).exit_code == 0);
  const models::Checkpoint whole = tiny.last("whole");
  const auto best_of = [&](const std::string& name) {
    return models::read_checkpoint(tiny.run_folder(name) + "/weights/best.pt");
  };
  const models::Checkpoint best = best_of("whole");
  RandomStream random(seed, 1, 0);
  int killed = 0, runs = 0;
  while (killed < kills) {
    const std::string name = fmt::format("k{}", ++runs);
    bool started = false;
    CommandResult r;
    do {
      r = run_for(tiny, name, "KILL", 0.02 + 0.6 * random.uniform(), started);
      killed += r.exit_code == 137;
      started = fs::exists(tiny.run_folder(name) + "/weights/last.pt");
      if (!started) fs::remove_all(tiny.run_folder(name));
    } while (r.exit_code == 137 && killed < kills + 50);
    INFO("seed " << seed << ", run " << runs << ": " << r.err);
    // Killed after the last checkpoint, there is nothing left to do.
    const bool over = r.exit_code == 2 && r.err.find("nothing to resume") != std::string::npos;
    CHECK((r.exit_code == 0 || over));
    CHECK(first_difference(whole, tiny.last(name)) == "");
    CHECK(first_difference(best, best_of(name)) == "");
    CHECK(results_without_time(tiny.run_folder(name)) == results_without_time(tiny.run_folder("whole")));
  }
}

}  // namespace

TEST_CASE("train: the command makes a run and says what it does") {
  TinyRun tiny;
  tiny.settings.epochs = 2;
  auto words = tiny.words("a");
  words.push_back("--json");
  const CommandResult r = run_mtyolo(words);
  INFO(r.err);
  REQUIRE(r.exit_code == 0);
  std::vector<std::string> kinds;
  std::istringstream lines(r.out);
  json last;
  for (std::string line; std::getline(lines, line);) {
    last = json::parse(line);
    CHECK(last["schema_version"] == 1);
    kinds.push_back(last["kind"]);
    if (kinds.back() == "epoch") CHECK(last["train/box_loss"].get<double>() > 0);
  }
  CHECK(std::count(kinds.begin(), kinds.end(), "epoch") == 2);
  CHECK(last["kind"] == "end");
  CHECK(last["reason"] == "epochs");
  CHECK(last["folder"] == tiny.run_folder("a"));
  for (const char* text : {"batch 4 x 2 = 8", "learning rate: 0 to 0.01 in 4 iterations",
                           "Epoch   gpu_mem       box", "Class       Images", "random weights, cfg"}) {
    INFO(text);
    CHECK(r.err.find(text) != std::string::npos);
  }
  const std::string log = read_file(tiny.run_folder("a") + "/train.log", 1 << 20);
  CHECK(log.find("batch 4 x 2 = 8") != std::string::npos);
  CHECK(log.find("epoch 0, time: steps ") != std::string::npos);
}

TEST_CASE("train: signals save the run and exit with their code; the run goes on to equal bits") {
  TinyRun tiny;
  tiny.settings.epochs = 40;
  const std::pair<const char*, int> signals[] = {{"INT", 130}, {"TERM", 143}, {"HUP", 143}};
  for (const auto& [signal, code] : signals) {
    INFO(signal);
    const std::string name = fmt::format("s{}", signal);
    const CommandResult r = run_for(tiny, name, signal, 0.5);
    INFO(r.err);
    CHECK(r.exit_code == code);
    CHECK(r.err.find("go on with: mtyolo train --resume " + tiny.run_folder(name)) != std::string::npos);
    const std::string page = read_file(tiny.run_folder(name) + "/report.html", 1 << 24);
    CHECK(page.find("Interrupted after ") != std::string::npos);
    CHECK(go_on(tiny, name, {"--max-steps", "30"}).exit_code == 0);
  }
  auto words = tiny.words("whole");
  words.insert(words.end(), {"--max-steps", "30", "--quiet"});
  REQUIRE(run_mtyolo(words).exit_code == 0);
  const models::Checkpoint whole = tiny.last("whole");
  CHECK(train::state_from(whole).optimizer_steps == 30);
  for (const char* name : {"sINT", "sTERM", "sHUP"}) {
    if (train::state_from(tiny.last(name)).optimizer_steps > 30) continue;  // a fast machine was past it
    CHECK(first_difference(whole, tiny.last(name)) == "");
  }
}

TEST_CASE("train: a second interrupt ends at once, with checkpoints as they were") {
  // The first in the second epoch; the second in the same batch, or while the first one's checkpoint is made.
  struct Interrupts : train::Observer {
    bool at_once = false, asked = false;
    void on_step(const train::StepEvent& e) override {
      if (e.epoch != 1 || e.batch != 3) return;
      asked = true;
      std::raise(SIGINT);
      if (at_once) std::raise(SIGINT);
    }
    void on_checkpoint(const std::string&, int64_t) override {
      if (asked) std::raise(SIGINT);
    }
  };
  TinyRun tiny;
  const log::Capture quiet;
  tiny.run("whole");
  for (const bool at_once : {true, false}) {
    const std::string name = at_once ? "same" : "saving";
    INFO(name);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      cli::install_signal_handlers();
      Interrupts interrupts;
      interrupts.at_once = at_once;
      try {
        tiny.run(name, {{&interrupts}, cli::interrupted});
      } catch (const std::exception&) {
        ::_exit(98);
      }
      ::_exit(99);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 130);
    CHECK(train::state_from(tiny.last(name)).epoch <= 1);  // written whole
    tiny.resume(name);
    CHECK(first_difference(tiny.last("whole"), tiny.last(name)) == "");
  }
}

TEST_CASE("train: a run that diverges says so in its report and by its exit code") {
  TinyRun tiny;
  tiny.settings.epochs = 60;
  tiny.settings.hyp = tiny.folder.write("hyp.yaml",
                                        "lr0: 10\nwarmup_epochs: 0\nmomentum: 0.99\nweight_decay: 1\n"
                                        "mosaic: 0\nmixup: 0\nbox: 100\nobj: 100\ncls: 100\n");
  const CommandResult r = run_mtyolo(tiny.words("a"));
  INFO(r.err);
  CHECK(r.exit_code == 1);
  CHECK(r.err.find("training diverged") != std::string::npos);
  CHECK(read_file(tiny.run_folder("a") + "/report.html", 1 << 24).find(": training diverged") !=
        std::string::npos);
}

TEST_CASE("train: killed five times at random, it ends with the bits it would have had") { kill_often(5, 1); }

// A minute long, so not among the tests of every change: ctest -C nightly -L nightly.
TEST_CASE("train: killed a hundred times at random, it ends with the bits it would have had",
          "[.][nightly]") {
  kill_often(100, 2);
}

TEST_CASE("train: flags of a resumed run win, what may not change is refused") {
  TinyRun tiny;
  tiny.settings.epochs = 1;
  REQUIRE(run_mtyolo(tiny.words("a")).exit_code == 0);
  CHECK(go_on(tiny, "a").exit_code == 2);  // nothing to do
  const CommandResult more = run_mtyolo(
      {"train", "--resume", "--project", tiny.folder.path("runs"), "--epochs", "2", "--threads", "1"});
  INFO(more.err);
  CHECK(more.exit_code == 0);
  CHECK(more.err.find("changed: epochs: '1' -> '2'") != std::string::npos);
  CHECK(train::state_from(tiny.last("a")).epoch == 2);
  tiny.folder.write("set/labels/00.txt", "0 0.5 0.5 0.2 0.2\n");
  const CommandResult other = go_on(tiny, "a", {"--epochs", "3"});
  CHECK(other.exit_code == 2);
  CHECK(other.err.find("its training set (files, sizes or labels) is not the one of the run") !=
        std::string::npos);
  CHECK(run_mtyolo({"train", "--resume", tiny.folder.path("none")}).exit_code == 3);
  CHECK(run_mtyolo({"train"}).exit_code == 2);
  CHECK(run_mtyolo({"train", tiny.settings.data, "--sync-bn"}).exit_code == 2);
  const CommandResult half = run_mtyolo({"train", tiny.settings.data, "--half"});
  CHECK(half.exit_code == 2);
  CHECK(half.err.find("--dtype fp16 needs a GPU") != std::string::npos);
}
