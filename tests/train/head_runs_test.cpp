// Whole runs with several heads: what is frozen, what is kept, and heads that join (tiny_run.h).
#include <catch2/catch.hpp>
#include <filesystem>

#include "core/log.h"
#include "models/plan/eager.h"
#include "ops/impls.h"
#include "tests/support/throws.h"
#include "tests/train/tiny_run.h"

using namespace mtyolo;
using namespace mtyolo::train;
using namespace mtyolo::test;
namespace fs = std::filesystem;

namespace {

constexpr const char* kTwoHeads = "heads:\n  a: {classes: [0]}\n  b: {classes: [1]}\n";

struct TwoHeadRun : TinyRun {
  explicit TwoHeadRun(const std::string& heads = kTwoHeads, int images = 8) : TinyRun(heads, images) {
    settings.epochs = 2;
    settings.nbs = 4;
  }
  // Another data.yaml of the same images.
  void data(const std::string& text) {
    write_file_atomically(settings.data, "train: set/images\nval: set/images\n" + text);
  }
};

// The tensors of `before` whose bits are others in `after`, by the head that owns them ("trunk" = none).
std::set<std::string> changed(const models::StateDict& before, const models::StateDict& after) {
  std::set<std::string> parts;
  for (const auto& [name, tensor] : before.entries())
    if (after.find(name) == nullptr || !bit_equal(tensor, *after.find(name)))
      parts.insert(name.starts_with("heads.") ? name.substr(6, 1) : "trunk");
  return parts;
}

// Raw maps of a head for one picture of the set.
std::vector<Tensor> maps_of(const models::Model& model, const std::string& head) {
  data::Image image(kTinySide, kTinySide);
  draw_tiny(image, 2);
  Tensor x = Tensor::zeros({1, 3, kTinySide, kTinySide});
  constexpr int kPlane = kTinySide * kTinySide;
  for (int c = 0; c < 3; ++c)
    for (int i = 0; i < kPlane; ++i)
      x.data<float>()[c * kPlane + i] = float(image.pixels[size_t(i * 3 + c)]) / 255;
  Context ctx(1);
  ops::Impls impls;
  ops::register_cpu_impls(impls);
  const auto values = models::run_eagerly(ctx, impls, model.graph, model.weights, x);
  std::vector<Tensor> maps;
  for (const int id : model.graph.find_head(head)->raw) maps.push_back(values.at(size_t(id)));
  return maps;
}

}  // namespace

TEST_CASE("heads: training one head leaves every bit of the other and of the trunk alone", "[train][heads]") {
  for (const char* optimizer : {"sgd", "adam", "adamw"}) {
    INFO(optimizer);
    TwoHeadRun tiny;
    tiny.settings.optimizer = optimizer;
    const log::Capture quiet;
    tiny.run("first");  // moments, averages and statistics of everything
    const models::Checkpoint before = tiny.last("first");
    tiny.settings.freeze = {"trunk", "a"};
    // The same run goes on with a frozen part ...
    tiny.settings.epochs = 4;
    tiny.resume("first");
    const models::Checkpoint after = tiny.last("first");
    CHECK(changed(before.model, after.model) == std::set<std::string>{"b"});
    for (const auto& [name, tensor] : after.model.entries())
      if (!name.starts_with("heads.b.") && is_floating(tensor.dtype()))
        CHECK(bit_equal(tensor, *after.optimizer.find("optimizer.weights." + name)));
    // ... and a new one starts from its weights.
    tiny.settings.epochs = 2;
    tiny.settings.weights = tiny.run_folder("first") + "/weights/last.pt";
    tiny.run("second");
    const models::Checkpoint last = tiny.last("second");
    CHECK(changed(after.model, last.model) == std::set<std::string>{"b"});
    const models::Model old = models::model_from_checkpoint(before),
                        now = models::model_from_checkpoint(last);
    for (size_t level = 0; level < 2; ++level) {
      CHECK(bit_equal(maps_of(old, "a")[level], maps_of(now, "a")[level]));
      CHECK(!bit_equal(maps_of(old, "b")[level], maps_of(now, "b")[level]));
    }
  }
}

TEST_CASE("heads: a head that is frozen alone is told to move with the trunk, and keeps the anchors",
          "[train][heads]") {
  TwoHeadRun tiny;
  const log::Capture quiet;
  Context ctx(1);
  tiny.settings.freeze = {"a"};
  const RunSetup moving = prepare_run(ctx, tiny.settings, nullptr);
  CHECK(moving.notes.back() ==
        "head a is frozen, but what it finds depends on model.3.conv.weight, which trains");
  tiny.settings.freeze = {"trunk", "a"};
  tiny.settings.noautoanchor = false;
  const RunSetup still = prepare_run(ctx, tiny.settings, nullptr);
  CHECK(still.anchor_message == "anchors stay as they are for head a, which is frozen");
}

TEST_CASE("heads: learned weights and gradient surgery resume bit for bit, on any number of threads",
          "[train][heads]") {
  for (const char* rule : {"learned", "pcgrad"}) {
    INFO(rule);
    TwoHeadRun tiny;
    tiny.settings.nbs = 8;
    tiny.settings.head_loss = rule;
    const log::Capture quiet;
    tiny.run("whole", {}, 2);
    for (const int64_t stop : {1, 3}) {  // in a window
      const std::string name = fmt::format("part{}", stop);
      StopAfter after(stop);
      CHECK(tiny.run(name, after.hooks()).reason == EndReason::kInterrupted);
      tiny.resume(name);
      CHECK(first_difference(tiny.last("whole"), tiny.last(name)) == "");
    }
    const models::Checkpoint whole = tiny.last("whole");
    CHECK((whole.optimizer.find("optimizer.head_loss.log_variance") != nullptr) ==
          (rule == std::string("learned")));
    tiny.settings.head_loss = "fixed";
    tiny.run("fixed");
    CHECK(first_difference(tiny.last("fixed"), whole) != "");
  }
}

TEST_CASE("heads: each has its own best checkpoint", "[train][heads]") {
  TwoHeadRun tiny;
  tiny.settings.epochs = 12;
  tiny.settings.optimizer = "adam";
  const log::Capture quiet;
  struct Best : Observer {
    std::map<std::string, std::pair<double, int64_t>> of;
    void on_validation(const ValidationEvent& e) override {
      for (const MetricsRow& row : e.report->heads)
        if (!of.contains(row.head) || row.fitness() > of[row.head].first)
          of[row.head] = {row.fitness(), e.epoch};
    }
  } best;
  StopAfter stop(14);
  tiny.run("a", {{&best, &stop}, [&] { return stop.left <= 0; }});
  tiny.resume("a", {{&best}, {}});
  REQUIRE(best.of.size() == 2);
  const TrainingState state = state_from(tiny.last("a"));
  for (const auto& [head, what] : best.of) {
    INFO(head);
    const models::Checkpoint file =
        models::read_checkpoint(tiny.run_folder("a") + "/weights/best_" + head + ".pt");
    CHECK(file.epoch == what.second + 1);
    CHECK(file.optimizer.empty());
    CHECK(file.model.find("model.0.conv.weight")->dtype() == DType::kF16);
    CHECK(state.head_fitness.at(head == "a" ? 0 : 1) == what.first);
  }
  TinyRun one({}, 4);
  one.settings.epochs = 1;
  one.run("one");
  CHECK(!fs::exists(one.run_folder("one") + "/weights/best_all.pt"));
}

TEST_CASE("heads: means of a head's losses are over the batches that are labelled for it", "[train][heads]") {
  TwoHeadRun tiny;
  for (int i = 0; i < 4; ++i)
    fs::rename(tiny.folder.path(fmt::format("set/images/{:02}.png", i)),
               (make_folders(tiny.folder.path("more/images")),
                tiny.folder.path(fmt::format("more/images/{:02}.png", i))));
  for (int i = 0; i < 4; ++i) {
    make_folders(tiny.folder.path("more/labels"));
    fs::copy(tiny.folder.path(fmt::format("set/labels/{:02}.txt", i)),
             tiny.folder.path(fmt::format("more/labels/{:02}.txt", i)));
  }
  write_file_atomically(
      tiny.settings.data,
      std::string("train: [set/images, {images: more/images, heads: [a]}]\nval: set/images\n"
                  "names: [red, blue]\n") +
          kTwoHeads);
  tiny.settings.batch_size = 2;
  tiny.settings.epochs = 1;
  const log::Capture quiet;
  struct Losses : Observer {
    std::vector<LossSums> heads;
    int64_t labelled_batches = 0;
    void on_step(const StepEvent& e) override {
      heads = e.heads;
      uint64_t any = 0;
      for (const uint64_t bits : e.images->labelled) any |= bits;
      labelled_batches += (any & 2) != 0;
    }
  } seen;
  tiny.run("some", {{&seen}, {}});
  REQUIRE(seen.heads.size() == 2);
  CHECK(seen.heads[0].batches == 4);
  CHECK(seen.heads[1].batches == seen.labelled_batches);
  const ResultsTable t = parse_results_csv(read_file(tiny.run_folder("some") + "/results.csv", 1 << 20));
  CHECK(t.column("b/train/obj_loss").at(0) == Approx(seen.heads[1].obj));
}

TEST_CASE("heads: batch 2 with accumulation and fixed statistics trains both", "[train][heads]") {
  TwoHeadRun tiny;
  tiny.settings.batch_size = 2;
  tiny.settings.nbs = 8;
  tiny.settings.freeze_bn = true;
  const log::Capture quiet;
  const Outcome o = tiny.run("small");
  CHECK(o.optimizer_steps < 8);  // micro-batches of both epochs; the window grows to 4 in the warm-up
  const models::Checkpoint init = models::read_checkpoint(tiny.run_folder("small") + "/weights/init.pt"),
                           last = tiny.last("small");
  CHECK(changed(init.model, last.model) == std::set<std::string>{"trunk", "a", "b"});
  for (const auto& [name, tensor] : init.model.entries())
    if (name.find("running_") != std::string::npos) CHECK(bit_equal(tensor, *last.model.find(name)));
}

TEST_CASE("heads: a third head joins two trained ones, which find what they found, bit for bit",
          "[train][heads]") {
  TwoHeadRun tiny;
  const log::Capture quiet;
  tiny.run("two");
  const std::string two = tiny.run_folder("two") + "/weights/last.pt";
  const models::Model old = models::load_model(two);
  // Other class ids, and images whose red objects now are green.
  for (int i = 0; i < 8; ++i) {
    const std::string path = tiny.folder.path(fmt::format("set/labels/{:02}.txt", i));
    std::string text = read_file(path, 1 << 16);
    text[0] = '0';
    text[text.find('\n') + 1] = '2';
    write_file_atomically(path, text);
  }
  tiny.data(
      "names: [green, red, blue]\nheads: {a: {classes: [red]}, b: {classes: [blue]}, c: {classes: "
      "[green]}}\n");
  tiny.settings.weights = two;
  tiny.settings.cfg.clear();
  tiny.settings.freeze = {"trunk", "a", "b"};
  const size_t tensors = old.weights.size();
  {
    Context ctx(1);
    const RunSetup setup = prepare_run(ctx, tiny.settings, nullptr);
    const auto said = [&](const std::string& line) {
      return std::find(setup.notes.begin(), setup.notes.end(), line) != setup.notes.end();
    };
    CHECK(said("head a: 1 class, from head a of the weights"));
    CHECK(said("head c: new, 1 class, its outputs start from random weights"));
    // All of the file, and for c what lies before its outputs: two implicit vectors and the anchors.
    CHECK(setup.model.transfer.transferred == int64_t(tensors) + 4);
  }
  tiny.run("three");
  const std::string three = tiny.run_folder("three") + "/weights/";
  for (const char* file : {"last.pt", "best_c.pt"}) {
    const models::Model now = models::load_model(three + file);
    REQUIRE(now.graph.heads.size() == 3);
    for (const char* head : {"a", "b"})
      CHECK(now.graph.names[size_t(now.graph.find_head(head)->classes[0])] ==
            old.graph.names[size_t(old.graph.find_head(head)->classes[0])]);
    if (file == std::string("last.pt"))
      for (const char* head : {"a", "b"})
        for (size_t level = 0; level < 2; ++level)
          CHECK(bit_equal(maps_of(old, head)[level], maps_of(now, head)[level]));
  }
  const models::Checkpoint init = models::read_checkpoint(three + "init.pt"), last = tiny.last("three");
  CHECK(changed(init.model, last.model) == std::set<std::string>{"c"});
}

TEST_CASE("heads: those of a file are matched by class names, in any order", "[train][heads]") {
  TwoHeadRun tiny("heads:\n  a: {classes: [0, 1]}\n  b: {classes: [2]}\n");
  tiny.data("names: [red, blue, green]\nheads: {a: {classes: [red, blue]}, b: {classes: [green]}}\n");
  tiny.settings.epochs = 1;
  tiny.settings.cfg =
      tiny.folder.write("three.yaml",
                        "nc: 3\nanchors: [[12,12, 20,20, 28,28], [24,40, 40,24, 48,48]]\nrows:\n"
                        "  - Conv 16 3 2\n  - Conv 32 3 2\n  - c3: Conv 32 3 2\n  - c4: Conv 48 3 2\n"
                        "head:\n  - IDetect @c3,c4\n");
  const log::Capture quiet;
  tiny.run("two");
  tiny.settings.weights = tiny.run_folder("two") + "/weights/last.pt";
  tiny.settings.cfg.clear();
  Context ctx(1);
  const auto prepared = [&](const std::string& names, const std::string& heads) {
    tiny.data("names: " + names + "\nheads: " + heads + "\n");
    return prepare_run(ctx, tiny.settings, nullptr);
  };
  const models::Model old = models::load_model(tiny.settings.weights);
  // The columns of a change places, and b has another name.
  const RunSetup swapped =
      prepared("[green, blue, red]", "{a: {classes: [blue, red]}, x: {classes: [green]}}");
  CHECK(swapped.notes.back() == "head x: 1 class, from head b of the weights");
  const std::vector<Tensor> before = maps_of(old, "a"), after = maps_of(swapped.model, "a");
  for (size_t level = 0; level < 2; ++level)
    for (int64_t anchor = 0; anchor < 3; ++anchor)
      for (const auto& [mine, theirs] : {std::pair<int64_t, int64_t>{4, 4}, {5, 6}, {6, 5}})
        CHECK(bit_equal(after[level].slice(1, anchor * 7 + mine, anchor * 7 + mine + 1).clone(),
                        before[level].slice(1, anchor * 7 + theirs, anchor * 7 + theirs + 1).clone()));
  CHECK(bit_equal(maps_of(swapped.model, "x")[0], maps_of(old, "b")[0]));

  const auto text = [&](const std::string& names, const std::string& heads) {
    const std::string all = error_text([&] { prepared(names, heads); });
    return all.starts_with(tiny.settings.data) ? all.substr(tiny.settings.data.size()) : all;
  };
  CHECK(text("[red, cyan, green]", "{a: {classes: [red, cyan]}, b: {classes: [green]}}")
            .starts_with(": has the head 'a' (2 classes: 'red', 'cyan'), in the weights '"));
  CHECK(text("[red, blue, teal]", "{a: {classes: [red, blue]}, c: {classes: [teal]}}")
            .find("also have 'b' (1 class: 'green')") != std::string::npos);
  CHECK(text("[red, blue, green]", "{x: {classes: [red]}, y: {classes: [blue, green]}}")
            .find("also have 'a' (2 classes: 'red', 'blue'), 'b' (1 class: 'green')") != std::string::npos);
  // Nothing in common: the trunk alone.
  const RunSetup other = prepared("[cyan, teal]", "{x: {classes: [cyan]}, y: {classes: [teal]}}");
  CHECK(other.model.transfer.transferred == 28 - 4);
}
