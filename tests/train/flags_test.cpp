// Flags of a run, each by what it changes or must not change, and a network with auxiliary heads through the
// whole loop.
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <set>

#include "core/log.h"
#include "models/plan/deploy.h"
#include "models/plan/eager.h"
#include "ops/impls.h"
#include "tests/support/golden.h"
#include "tests/support/skip.h"
#include "tests/train/tiny_run.h"

using namespace mtyolo;
using namespace mtyolo::train;
using namespace mtyolo::test;
namespace fs = std::filesystem;

namespace {

// What every micro-batch was made of.
struct Batches : Observer {
  std::vector<Shape> shapes;
  std::vector<std::vector<int64_t>> indices;  // per epoch
  std::vector<int> classes;
  bool finite = true;
  void on_step(const StepEvent& e) override {
    shapes.push_back(e.images->images.shape());
    if (indices.size() <= size_t(e.epoch)) indices.emplace_back();
    indices.back().insert(indices.back().end(), e.images->indices.begin(), e.images->indices.end());
    for (const data::BatchTarget& t : e.images->targets) classes.push_back(t.cls);
    finite &= std::isfinite(e.loss.box + e.loss.obj + e.loss.cls);
  }
};

struct ShortRun : TinyRun {
  ShortRun() {
    settings.epochs = 2;
    settings.nbs = 4;
    settings.noval = true;
  }
};

}  // namespace

TEST_CASE("train: recomputing values changes no bit", "[train][flags]") {
  ShortRun tiny;
  const log::Capture quiet;
  tiny.run("kept");
  tiny.settings.recompute = true;
  tiny.run("again");
  CHECK(first_difference(tiny.last("kept"), tiny.last("again")) == "");
}

TEST_CASE("train: with --dtype bf16 a tiny set is learned as in fp32", "[train][flags]") {
  TinyRun tiny;
  tiny.settings.epochs = 40;
  tiny.settings.nbs = 4;
  tiny.settings.optimizer = "adam";
  tiny.settings.val_period = 20;
  tiny.settings.dtype = "bf16";
  const log::Capture quiet;
  tiny.run("bf16");
  const auto number = [&](const std::string& run, const std::string& column, size_t row) {
    const ResultsTable t = parse_results_csv(read_file(tiny.run_folder(run) + "/results.csv", 1 << 20));
    return t.rows.at(row).at(
        size_t(std::find(t.columns.begin(), t.columns.end(), column) - t.columns.begin()));
  };
  CHECK(number("bf16", "train/box_loss", 39) < 0.6 * number("bf16", "train/box_loss", 0));
  CHECK(number("bf16", "train/cls_loss", 39) < 0.1 * number("bf16", "train/cls_loss", 0));
  CHECK(number("bf16", "metrics/mAP_0.5", 39) > 0.8);
  // Before the first update, since each one carries the rounding of a small batch's statistics on.
  tiny.settings.epochs = 1;
  tiny.settings.nbs = 4096;
  for (const char* type : {"fp32", "bf16"}) {
    tiny.settings.dtype = type;
    tiny.run(std::string("start-") + type);
  }
  // The class loss has the widest bound: it is over the matched cells alone, of which rounding moves some.
  for (const auto& [loss, bound] :
       {std::pair("train/box_loss", 0.02), {"train/obj_loss", 0.02}, {"train/cls_loss", 0.05}})
    CHECK(number("start-bf16", loss, 0) == Approx(number("start-fp32", loss, 0)).epsilon(bound));
}

TEST_CASE("train: --dtype bf16 gives equal bits in every run, stopped and resumed too", "[train][flags]") {
  ShortRun tiny;
  tiny.settings.dtype = "bf16";
  const log::Capture quiet;
  tiny.run("one");
  tiny.settings.recompute = true;
  tiny.settings.workers = 2;
  tiny.run("two", {}, 3);
  CHECK(first_difference(tiny.last("one"), tiny.last("two")) == "");
  StopAfter stop(3);
  tiny.run("part", stop.hooks());
  CHECK(state_from(tiny.last("part")).settings.dtype == "bf16");
  tiny.resume("part");
  CHECK(first_difference(tiny.last("one"), tiny.last("part")) == "");
  tiny.settings.dtype = "fp32";
  tiny.run("fp32");
  CHECK(first_difference(tiny.last("one"), tiny.last("fp32")) != "");
  CHECK(tiny.last("one").model.entries()[0].second.dtype() == DType::kF32);  // master weights
}

TEST_CASE("train: --dtype takes fp32 and bf16, fp16 asks for a GPU", "[train][flags]") {
  ShortRun tiny;
  Context ctx(1);
  tiny.settings.dtype = "fp16";
  CHECK_THROWS_WITH(prepare_run(ctx, tiny.settings, nullptr),
                    Catch::Contains("needs a GPU") && Catch::Contains("fp32 or bf16"));
  tiny.settings.dtype = "bfloat\x1b";
  CHECK_THROWS_WITH(prepare_run(ctx, tiny.settings, nullptr), Catch::Contains("expected fp32 or bf16"));
}

TEST_CASE("train: cached images change no bit, and the cache on disk is used", "[train][flags]") {
  ShortRun tiny;
  // Shrunk when loaded, and mosaics read several images per sample.
  tiny.settings.img_size = 32;
  tiny.settings.hyp = tiny.folder.write("mosaic.yaml", "mosaic: 1\nmixup: 0.5\n");
  const log::Capture quiet;
  tiny.run("none");
  const models::Checkpoint plain = tiny.last("none");
  tiny.settings.cache = "ram";
  tiny.run("ram");
  CHECK(first_difference(plain, tiny.last("ram")) == "");
  CHECK(!fs::exists(tiny.folder.path(".mtyolo_cache")));
  tiny.settings.cache = "disk";
  tiny.run("disk");
  CHECK(first_difference(plain, tiny.last("disk")) == "");
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(tiny.folder.path(".mtyolo_cache")))
    if (entry.is_regular_file()) files.push_back(entry.path());
  CHECK(files.size() == 16);
  // From the files of the run before; one that was damaged is made again.
  fs::resize_file(files.at(0), fs::file_size(files.at(0)) / 2);
  tiny.run("disk2");
  CHECK(first_difference(plain, tiny.last("disk2")) == "");
}

TEST_CASE("train: --rect trains on inputs of the images' shape", "[train][flags]") {
  ShortRun tiny;
  for (int i = 0; i < 8; ++i) {  // half of the pictures become twice as wide as high
    data::Image wide(2 * kTinySide, kTinySide);
    for (uint8_t& p : wide.pixels) p = uint8_t(90 + i);
    data::write_image(tiny.folder.path(fmt::format("set/images/{:02}.png", i)), wide);
  }
  const log::Capture quiet;
  Batches square, rect;
  tiny.run("square", {{&square}, {}});
  CHECK(std::count(square.shapes.begin(), square.shapes.end(), Shape{4, 3, 64, 64}) == 8);
  tiny.settings.rect = true;
  tiny.run("rect", {{&rect}, {}});
  CHECK(std::count(rect.shapes.begin(), rect.shapes.end(), Shape{4, 3, 32, 64}) == 4);
  CHECK(std::count(rect.shapes.begin(), rect.shapes.end(), Shape{4, 3, 64, 64}) == 4);
  CHECK(rect.finite);
}

TEST_CASE("train: --single-cls makes a network of one class", "[train][flags]") {
  ShortRun tiny;
  tiny.settings.single_cls = true;
  tiny.settings.noval = false;
  const log::Capture quiet;
  Batches seen;
  tiny.run("one", {{&seen}, {}});
  CHECK(std::set<int>(seen.classes.begin(), seen.classes.end()) == std::set<int>{0});
  CHECK(seen.classes.size() > 32);  // both classes' boxes stay, in both epochs
  const models::Model model = models::load_model(tiny.run_folder("one") + "/weights/best.pt");
  CHECK(model.graph.names == std::vector<std::string>{"item"});
  CHECK(model.weights.find("model.4.m.0.bias")->shape() == Shape{3 * 6});
  // The run's data.yaml still says what the label files hold, so the run can go on.
  tiny.settings.data = tiny.run_folder("one") + "/data.yaml";
  tiny.settings.epochs = 3;
  CHECK(tiny.resume("one").epochs_done == 3);
}

TEST_CASE("train: repeat_thr brings rare classes back among the images of their head, and resumes",
          "[train][flags]") {
  ShortRun tiny;
  std::string some, others;
  for (int i = 0; i < 16; ++i) (i < 4 ? some : others) += fmt::format("set/images/{:02}.png\n", i);
  tiny.folder.write("some.txt", some);
  tiny.folder.write("others.txt", others);
  for (int i = 6; i < 16; ++i) tiny.folder.write(fmt::format("set/labels/{:02}.txt", i), "");
  tiny.folder.write("data.yaml",
                    "train: [{images: some.txt, heads: a}, {images: others.txt, heads: b}]\nval: set/images\n"
                    "names: [red, blue]\nheads: {a: {classes: [0]}, b: {classes: [1]}}\n");
  tiny.settings.hyp = tiny.folder.write("repeat.yaml", "repeat_thr: 0.999\n");  // with mosaics
  const log::Capture said;
  Batches whole;
  tiny.run("whole", {{&whole}, {}});
  CHECK_THAT(said.text(), Catch::Contains("some.txt: 4 boxes of other heads' classes dropped") &&
                              Catch::Contains("others.txt: 2 boxes of other heads' classes dropped"));
  REQUIRE(whole.indices.size() == 2);
  for (const auto& epoch : whole.indices) {
    CHECK(epoch.size() == 16);
    // Blue is in 2 of the 12 images of b: sqrt(0.999 * 6) = 2.45 against 1 of the others, 18.9 in all.
    for (const int64_t i : {4, 5}) CHECK(std::count(epoch.begin(), epoch.end(), i) >= 2);
    CHECK(std::count_if(epoch.begin(), epoch.end(), [](int64_t i) { return i < 4; }) <= 4);
  }
  CHECK(whole.indices[0] != whole.indices[1]);
  StopAfter stop(6);
  CHECK(tiny.run("part", stop.hooks()).reason == EndReason::kInterrupted);
  tiny.resume("part");
  CHECK(first_difference(tiny.last("whole"), tiny.last("part")) == "");
}

TEST_CASE("train: --image-weights draws images by what is hard in them, and resumes to equal bits",
          "[train][flags]") {
  ShortRun tiny;
  for (int i = 4; i < 16; ++i)  // without an object an image has no weight
    tiny.folder.write(fmt::format("set/labels/{:02}.txt", i), "");
  const log::Capture quiet;
  Batches usual, weighted;
  tiny.run("usual", {{&usual}, {}});
  for (auto& epoch : usual.indices) CHECK(std::set<int64_t>(epoch.begin(), epoch.end()).size() == 16);
  tiny.settings.image_weights = true;
  tiny.settings.noval = false;
  tiny.run("weighted", {{&weighted}, {}});
  REQUIRE(weighted.indices.size() == 2);
  for (auto& epoch : weighted.indices) {
    CHECK(epoch.size() == 16);
    CHECK(*std::max_element(epoch.begin(), epoch.end()) < 4);
  }
  CHECK(weighted.indices[0] != weighted.indices[1]);
  StopAfter stop(6);
  CHECK(tiny.run("part", stop.hooks()).reason == EndReason::kInterrupted);
  tiny.resume("part");
  CHECK(first_difference(tiny.last("weighted"), tiny.last("part")) == "");
}

TEST_CASE("train: auxiliary heads learn, and the deploy form without them predicts the same",
          "[train][flags]") {
  const auto cfg = shared_folder() / "goldens/checkpoint/e6e-narrow/cfg.yaml";
  if (!fs::exists(cfg)) MTYOLO_SKIP("no golden data");
  TinyRun tiny({}, 4);
  tiny.settings.cfg = cfg.string();
  tiny.settings.epochs = 8;
  tiny.settings.nbs = 4;
  tiny.settings.optimizer = "adam";
  tiny.settings.noval = true;
  const log::Capture quiet;
  Batches seen;
  tiny.run("e6e", {{&seen}, {}});
  CHECK(seen.finite);
  const std::string run = tiny.run_folder("e6e");
  const ResultsTable t = parse_results_csv(read_file(run + "/results.csv", 1 << 20));
  for (const char* column : {"train/box_loss", "train/cls_loss"}) {
    INFO(column);
    CHECK(t.column(column).at(7) < 0.95 * t.column(column).at(0));
  }

  const models::Checkpoint before = models::read_checkpoint(run + "/weights/init.pt");
  const models::Checkpoint after = tiny.last("e6e");
  const models::Model model = models::model_from_checkpoint(after);
  int aux = 0;
  for (const auto& [name, tensor] : after.model.entries()) {
    if (name.find(".m2.") == std::string::npos) continue;
    INFO(name);
    CHECK(!bit_equal(tensor, *before.model.find(name)));
    ++aux;
  }
  CHECK(aux == 8);  // weight and bias of four levels

  const models::Model deploy = models::deploy_model(model);
  CHECK(deploy.graph.heads[0].type == "Detect");
  data::Image image(kTinySide, kTinySide);
  draw_tiny(image, 1);
  Tensor x = Tensor::zeros({1, 3, kTinySide, kTinySide});
  for (int c = 0; c < 3; ++c)
    for (int i = 0; i < kTinySide * kTinySide; ++i)
      x.data<float>()[c * kTinySide * kTinySide + i] = float(image.pixels[size_t(i * 3 + c)]) / 255;
  Context ctx(1);
  ops::Impls impls;
  ops::register_cpu_impls(impls);
  const auto predictions = [&](const models::Model& m) {  // node by node, nothing folded, no auxiliary maps
    const models::Graph graph = models::prune_heads(m.graph, {m.graph.heads[0].name});
    return models::head_predictions(graph, models::run_eagerly(ctx, impls, graph, m.weights, x));
  };
  const auto difference = models::compare_predictions(predictions(model), predictions(deploy));
  CHECK(difference.worst(kTinySide) < 1e-4);
  CHECK(difference.worst(kTinySide) > 0);  // another order of the same sums
}

TEST_CASE("train: --batch-size -1 takes what memory, set and nominal batch hold, and 0 is refused",
          "[train][flags]") {
  ShortRun tiny;
  Context ctx(1);
  tiny.settings.batch_size = -1;
  tiny.settings.nbs = 64;
  CHECK(prepare_run(ctx, tiny.settings, nullptr).settings.batch_size == 16);  // the set
  tiny.settings.nbs = 8;
  CHECK(prepare_run(ctx, tiny.settings, nullptr).settings.batch_size == 8);
  tiny.settings.img_size = 32768;  // one image fills any memory
  CHECK(prepare_run(ctx, tiny.settings, nullptr).settings.batch_size == 1);
  tiny.settings.batch_size = 0;
  CHECK_THROWS_AS(prepare_run(ctx, tiny.settings, nullptr), Error);
}

TEST_CASE("train: the memory estimate grows with batch and size", "[train][flags]") {
  ShortRun tiny;
  Context ctx(1);
  const RunSetup run = prepare_run(ctx, tiny.settings, nullptr);
  Settings s = run.settings;
  const uint64_t one = estimate_memory(run.model.graph, s);
  s.batch_size *= 2;
  const uint64_t two = estimate_memory(run.model.graph, s);
  s.batch_size *= 2;
  CHECK(estimate_memory(run.model.graph, s) - two == 2 * (two - one));
  s.img_size *= 2;
  CHECK(estimate_memory(run.model.graph, s) > 3 * two);
}
