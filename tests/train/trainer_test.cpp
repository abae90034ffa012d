// Whole runs on a tiny network and set (tiny_run.h).
#include "train/trainer.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "core/log.h"
#include "tests/support/throws.h"
#include "tests/train/tiny_run.h"

using namespace mtyolo;
using namespace mtyolo::train;
using namespace mtyolo::test;
namespace fs = std::filesystem;

namespace {

double number(const std::string& run, const std::string& column, size_t row) {
  const ResultsTable t = parse_results_csv(read_file(run + "/results.csv", 1 << 20));
  return t.column(column).at(row);
}

}  // namespace

TEST_CASE("train: a tiny set is learned", "[train][trainer]") {
  TinyRun tiny;
  tiny.settings.epochs = 40;
  tiny.settings.nbs = 4;
  tiny.settings.optimizer = "adam";
  tiny.settings.val_period = 20;
  const log::Capture quiet;
  const Outcome o = tiny.run("a");
  CHECK(o.reason == EndReason::kEpochs);
  CHECK(o.epochs_done == 40);
  const std::string run = tiny.run_folder("a");
  CHECK(number(run, "train/box_loss", 39) < 0.6 * number(run, "train/box_loss", 0));
  CHECK(number(run, "train/cls_loss", 39) < 0.1 * number(run, "train/cls_loss", 0));
  CHECK(number(run, "metrics/mAP_0.5", 39) > 0.8);
  for (const char* file :
       {"opt.yaml", "hyp.yaml", "data.yaml", "cfg.yaml", "results.csv", "results.txt", "train.log",
        "weights/init.pt", "weights/last.pt", "weights/last_prev.pt", "weights/best.pt"}) {
    INFO(file);
    CHECK(fs::exists(run + "/" + file));
  }
}

TEST_CASE("train: a run stopped anywhere and resumed ends bit for bit as one that was not",
          "[train][trainer]") {
  TinyRun tiny;
  tiny.settings.multi_scale = true;
  const log::Capture quiet;
  tiny.run("whole");
  const models::Checkpoint whole = tiny.last("whole");
  // In a window, at its end, in validation, and twice.
  for (const auto& stops : {std::vector<int64_t>{3}, {2}, {4}, {1, 6}, {7, 1, 1}}) {
    const std::string name = fmt::format("part{}", fmt::join(stops, "_"));
    INFO(name);
    for (size_t i = 0; i < stops.size(); ++i) {
      StopAfter stop(stops[i]);
      const Outcome o = i == 0 ? tiny.run(name, stop.hooks()) : tiny.resume(name, stop.hooks());
      CHECK(o.reason == EndReason::kInterrupted);
    }
    CHECK(tiny.resume(name).reason == EndReason::kEpochs);
    CHECK(first_difference(whole, tiny.last(name)) == "");
    CHECK(results_without_time(tiny.run_folder(name)) == results_without_time(tiny.run_folder("whole")));
  }
}

TEST_CASE("train: threads and workers change no bit", "[train][trainer]") {
  TinyRun tiny;
  tiny.settings.epochs = 1;
  const log::Capture quiet;
  tiny.run("one");
  tiny.settings.workers = 3;
  tiny.run("more", {}, 3);
  CHECK(first_difference(tiny.last("one"), tiny.last("more")) == "");
}

TEST_CASE("train: a long epoch is saved on the way, and goes on from there to equal bits",
          "[train][trainer]") {
  struct Dies : Observer {
    void on_step(const StepEvent& e) override {
      if (e.epoch == 1 && e.batch == 3) throw std::runtime_error("died");
    }
  } dies;
  TinyRun tiny;  // four batches an epoch, an update after every second
  const log::Capture quiet;
  tiny.run("whole");
  const auto saved = [&](const std::string& name, TrainerHooks hooks) {
    hooks.observers = {&dies};
    CHECK_THROWS(tiny.run(name, hooks));
    const TrainingState state = state_from(tiny.last(name));
    return std::pair(state.epoch, state.batch);
  };
  CHECK(saved("rarely", {}) == std::pair<int64_t, int64_t>(1, 0));
  TrainerHooks often;
  often.save_every = std::chrono::seconds(0);
  CHECK(saved("often", often) == std::pair<int64_t, int64_t>(1, 2));
  tiny.resume("often");
  CHECK(first_difference(tiny.last("whole"), tiny.last("often")) == "");
}

TEST_CASE("train: every second of a run has its phase", "[train][trainer]") {
  TinyRun tiny;
  tiny.settings.epochs = 2;
  const log::Capture log;
  const Outcome o = tiny.run("a");
  double sum = 0;
  for (const double seconds : o.time) sum += seconds;
  CHECK(sum == Approx(o.seconds).margin(0.05));
  for (const Phase p : {Phase::kWait, Phase::kCompute, Phase::kUpdate, Phase::kValidation, Phase::kSaving})
    CHECK(o.time[size_t(p)] > 0);
  CHECK(log.text().find("epoch 1, time: steps ") != std::string::npos);
}

TEST_CASE("train: the newest checkpoint is damaged: the run goes on from the one before",
          "[train][trainer]") {
  TinyRun tiny;
  const log::Capture quiet;
  tiny.run("whole");
  StopAfter stop(10);  // in the third epoch
  tiny.run("damaged", stop.hooks());
  fs::resize_file(tiny.run_folder("damaged") + "/weights/last.pt", 5000);
  tiny.resume("damaged");
  CHECK(first_difference(tiny.last("whole"), tiny.last("damaged")) == "");
}

TEST_CASE("train: what is frozen stays bit for bit until it is thawed", "[train][trainer]") {
  TinyRun tiny("heads:\n  a: {classes: [0]}\n  b: {classes: [1]}\n");
  tiny.settings.epochs = 2;
  tiny.settings.nbs = 4;
  const log::Capture quiet;
  const auto changed = [&](const std::string& name) {
    const models::Checkpoint before = models::read_checkpoint(tiny.run_folder(name) + "/weights/init.pt"),
                             after = tiny.last(name);
    std::set<std::string> parts;
    for (const auto& [tensor, value] : after.model.entries())
      if (!bit_equal(value, *before.model.find(tensor)) ||
          !bit_equal(*after.optimizer.find("optimizer.weights." + tensor), *before.model.find(tensor)))
        parts.insert(tensor.starts_with("heads.") ? tensor.substr(6, 1) : "trunk");
    return parts;
  };
  using Parts = std::set<std::string>;
  tiny.run("all");
  CHECK(changed("all") == Parts{"trunk", "a", "b"});
  tiny.settings.freeze = {"trunk", "a"};
  tiny.run("frozen");
  CHECK(changed("frozen") == Parts{"b"});
  tiny.settings.unfreeze_at = 1;
  tiny.run("thawed");
  CHECK(changed("thawed") == Parts{"trunk", "a", "b"});
  tiny.settings.freeze = {"0-3"};
  tiny.settings.unfreeze_at = 0;
  tiny.run("rows");
  CHECK(changed("rows") == Parts{"a", "b"});
  tiny.settings.freeze = {};
  tiny.settings.freeze_bn = true;
  tiny.run("statistics");
  const models::Checkpoint after = tiny.last("statistics");
  CHECK(after.model.find("model.1.bn.running_mean")->at({0}) == 0);
  CHECK(after.model.find("model.1.bn.weight")->at({0}) != 1);
}

TEST_CASE("train: rows of a head's own and cross-stitch units learn, and resume bit for bit",
          "[train][trainer]") {
  TinyRun tiny("heads:\n  a: {classes: [0]}\n  b: {classes: [1]}\n");
  tiny.settings.sharing = GENERATE(models::SharingFlags{.mode = "hard", .until = 1},
                                   models::SharingFlags{.mode = "soft", .cross_stitch = {"0", "2"}},
                                   models::SharingFlags{.mode = "none"});
  tiny.settings.epochs = 2;
  tiny.settings.freeze = tiny.settings.sharing.mode == "hard" ? std::vector<std::string>{"trunk", "a"}
                                                              : std::vector<std::string>{"a"};
  const log::Capture quiet;
  tiny.run("whole");
  const models::Checkpoint before = models::read_checkpoint(tiny.run_folder("whole") + "/weights/init.pt"),
                           whole = tiny.last("whole");
  for (const auto& [name, value] : whole.model.entries()) {
    INFO(name);
    const bool learns = name.starts_with("heads.b.") && name.find("anchor") == std::string::npos &&
                        !name.ends_with("num_batches_tracked");  // averages have none
    CHECK(bit_equal(value, *before.model.find(name)) == !learns);
  }
  StopAfter stop(3);
  tiny.run("part", stop.hooks());
  tiny.resume("part");
  CHECK(first_difference(whole, tiny.last("part")) == "");
}

TEST_CASE("train: one head's weights start every sharing, others go where no number is lost",
          "[train][trainer]") {
  TinyRun tiny;
  tiny.settings.epochs = 1;
  tiny.settings.noval = true;
  const log::Capture quiet;
  tiny.run("one");
  TinyRun two("heads:\n  a: {classes: [0]}\n  b: {classes: [1]}\n");
  two.settings.weights = tiny.run_folder("one") + "/weights/last.pt";
  two.settings.cfg = "";
  Context ctx(1);
  const auto start = [&](const models::SharingFlags& flags) {
    two.settings.sharing = flags;
    return train::prepare_run(ctx, two.settings, nullptr);
  };
  const auto has_note = [](const train::RunSetup& run, const std::string& text) {
    return std::any_of(run.notes.begin(), run.notes.end(),
                       [&](const std::string& note) { return note.find(text) != std::string::npos; });
  };
  const models::Checkpoint last = tiny.last("one");
  const models::StateDict& one = last.inference_weights();
  const auto soft = start({.mode = "soft", .cross_stitch = {"1"}});
  CHECK(has_note(soft, "head a: 34/35"));
  CHECK(has_note(soft, "sharing: soft, cross-stitch after rows 1"));
  for (const char* head : {"a", "b"})
    CHECK(bit_equal(*soft.model.weights.find(fmt::format("heads.{}.model.2.conv.weight", head)),
                    one.find("model.2.conv.weight")->to(DType::kF32)));
  CHECK(start({.mode = "hard", .until = 0}).model.weights.contains("heads.b.model.1.conv.weight"));
  const auto message = [&](const models::SharingFlags& flags) { return error_text([&] { start(flags); }); };
  CHECK(message({.mode = "hard", .until = 4}).find("detection row 4") != std::string::npos);

  // Weights with heads: theirs is the default.
  two.settings.sharing = {.mode = "soft"};
  two.settings.epochs = 1;
  two.settings.noval = true;
  two.run("soft");
  two.settings.weights = two.run_folder("soft") + "/weights/last.pt";
  CHECK(start({}).model.cfg.sharing.mode == models::Sharing::Mode::kSoft);
  CHECK(start({.mode = "none"}).model.transfer.skipped.empty());
  const std::string refused = message({.mode = "hard"});
  CHECK(refused.find("last.pt") != std::string::npos);
  CHECK(refused.find("with other numbers in 'a' than in 'b'") != std::string::npos);
  two.settings.freeze = {"trunk"};
  CHECK(message({}) == "--freeze trunk: the heads of this network share no row");
  tiny.settings.sharing = {.mode = "hard"};
  CHECK(error_text([&] { tiny.run("x"); }).find("nothing to share") != std::string::npos);
}

TEST_CASE("train: --freeze refuses what it does not know", "[train][trainer]") {
  TinyRun tiny("heads:\n  a: {classes: [0]}\n  b: {classes: [1]}\n");
  const log::Capture quiet;
  const auto text = [&](std::vector<std::string> words) {
    tiny.settings.freeze = std::move(words);
    return error_text([&] { tiny.run("x"); });
  };
  CHECK(text({"trunkk"}) == "--freeze 'trunkk': expected trunk, a, b, or rows 0-4; did you mean 'trunk'?");
  CHECK(text({"0-9"}) == "--freeze '0-9': expected trunk, a, b, or rows 0-4");
  CHECK(text({"trunk", "a", "b"}) == "--freeze trunk,a,b leaves nothing to train");
}

TEST_CASE("train: two heads have rows, columns and files of their own", "[train][trainer]") {
  TinyRun tiny("heads:\n  a: {classes: [red]}\n  b: {classes: [blue], weight: 0.5}\n");
  const log::Capture quiet;
  tiny.run("two");
  const std::string run = tiny.run_folder("two");
  const ResultsTable t = parse_results_csv(read_file(run + "/results.csv", 1 << 20));
  CHECK(t.columns.size() == 37);
  const double a = t.column("a/train/box_loss")[0], b = t.column("b/train/box_loss")[0];
  CHECK(a > 0);
  CHECK(t.column("train/box_loss")[0] == Approx(a + 0.5 * b));
  const models::Model best = models::load_model(run + "/weights/best.pt");
  REQUIRE(best.graph.heads.size() == 2);
  CHECK(best.graph.heads[1].name == "b");
  CHECK(best.graph.names == std::vector<std::string>{"red", "blue"});
}

TEST_CASE("train: other classes take over what fits and say what does not", "[train][trainer]") {
  TinyRun tiny;
  tiny.settings.epochs = 1;
  const log::Capture capture;
  tiny.run("first");
  tiny.settings.weights = tiny.run_folder("first") + "/weights/best.pt";
  tiny.settings.cfg.clear();
  const auto notes = [&](const std::string& names) {
    write_file_atomically(tiny.settings.data, "train: set/images\nval: set/images\n" + names);
    Context ctx(1);
    return prepare_run(ctx, tiny.settings, nullptr);
  };
  const RunSetup same = notes("names: [red, blue]\n");
  CHECK(same.notes == std::vector<std::string>{"Transferred 34/34 tensors from " + tiny.settings.weights});
  const RunSetup more = notes("names: [red, blue, green]\n");
  CHECK(more.notes[0] == "2 classes in the weights, 3 in the data: the data's");
  CHECK(more.notes[1] == "Transferred 28/34 tensors from " + tiny.settings.weights);
  CHECK(more.notes[2] == "  model.4.m.0.weight: file [21,32,1,1], network [24,32,1,1]: another shape");
  const RunSetup split = notes("names: [blue, red]\nheads:\n  a: {classes: [0]}\n  b: {classes: [1]}\n");
  CHECK(split.notes[0].starts_with("Transferred 44/44 tensors"));
  // Head a is blue here: row 5 + 1 of the file's first anchor.
  const models::Checkpoint source = models::read_checkpoint(tiny.settings.weights);
  CHECK(split.model.weights.find("heads.a.model.4.m.0.bias")->at({5}) ==
        source.model.find("model.4.m.0.bias")->at({6}));
}

TEST_CASE("train: patience, step limit and finished runs", "[train][trainer]") {
  TinyRun tiny;
  const log::Capture quiet;
  tiny.settings.max_steps = 3;
  CHECK(tiny.run("steps").reason == EndReason::kMaxSteps);
  CHECK(state_from(tiny.last("steps")).optimizer_steps == 3);
  tiny.settings.max_steps = 0;
  CHECK(tiny.resume("steps").reason == EndReason::kEpochs);
  CHECK(error_code([&] { tiny.resume("steps"); }) == "resume");
  tiny.settings.epochs = 4;
  CHECK(tiny.resume("steps").epochs_done == 4);
  tiny.settings.patience = 1;
  tiny.settings.epochs = 50;
  tiny.settings.freeze = {"trunk"};
  tiny.settings.hyp = tiny.folder.write("still.yaml", "lr0: 0.0000001\nwarmup_bias_lr: 0\nmosaic: 0\n");
  CHECK(tiny.run("patient").reason == EndReason::kPatience);
}

TEST_CASE("train: yolov7's habits can be had back", "[train][trainer]") {
  TinyRun tiny;
  tiny.settings.compat = "v7";
  tiny.settings.epochs = 2;
  const log::Capture quiet;
  tiny.run("v7");
  // Warm-up of 1000 iterations is longer than the run: the bias rate is still near its start.
  CHECK(number(tiny.run_folder("v7"), "x/lr2", 1) > 0.099);
  StopAfter stop(3);
  tiny.run("part", stop.hooks());
  tiny.resume("part");
  CHECK(first_difference(tiny.last("v7"), tiny.last("part")) == "");
}
