#include "train/evaluate.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "models/model.h"
#include "tests/data/memory_dataset.h"

using namespace mtyolo;
using namespace mtyolo::test;
using namespace mtyolo::train;

namespace {

// Two heads of a narrow network with random weights: what they find means nothing.
models::Model tiny_model() {
  Document document = models::shipped_cfg("yolov7-tiny").document;
  for (auto& [key, value] : document.fields) {
    if (key == "width_multiple") value.text = "0.125";
    if (key == "nc") value.text = "3";
  }
  models::BuildOptions options;
  options.names = {"ant", "bee", "cat"};
  options.heads = {{"a", {0, 1}}, {"b", {2}}};
  return models::model_from_cfg(models::cfg_from_document(document, "tiny"), 5, options);
}

struct Setup {
  Context ctx{1};
  models::Model model = tiny_model();
  models::Detector detector{ctx, model.graph, model.weights, ops::Impls{}, {.keep_raw = true}};
  MemoryDataset dataset = varied_dataset(7);
  EvaluateParams params;

  Setup() {
    params.conf_thres = 1e-5;
    params.max_det = 20;
    params.heads = {{"a", {0, 1}, 1}, {"b", {2}, 1}};
  }
  Evaluation run(int batch = 7, bool rect = true, const EvaluateHooks& hooks = {}) {
    data::LoaderParams loading;
    loading.batch_size = batch;
    loading.img_size = 64;
    loading.rect = rect;
    loading.pad = 0.5;
    loading.workers = 0;
    data::Loader loader(dataset, loading);
    return evaluate(detector, dataset, loader, params, hooks);
  }
};

bool same(const std::vector<ImageResult>& a, const std::vector<ImageResult>& b) {
  const auto key = [](const ScoredBox& d) { return std::tie(d.x1, d.y1, d.x2, d.y2, d.score, d.cls); };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](const ImageResult& x, const ImageResult& y) {
    return std::equal(x.found.begin(), x.found.end(), y.found.begin(), y.found.end(),
                      [&](const ScoredBox& p, const ScoredBox& q) { return key(p) == key(q); });
  });
}

}  // namespace

TEST_CASE("evaluate: boxes return to the source by each side's own ratio and the whole pixels of padding") {
  // 101 x 67 scaled to 64 x 42 and put into 96 x 64 with an odd spare pixel below.
  data::Letterbox done;
  done.scale = 64.0 / 101;
  done.scale_y = 42.0 / 67;
  done.left = 16;
  done.top = 11;
  done.source_width = 101;
  done.source_height = 67;
  const auto box = to_source(done, {16, 11, 16 + 64, 11 + 42});
  CHECK(box[0] == 0);
  CHECK(box[1] == 0);
  CHECK(box[2] == Approx(101));
  CHECK(box[3] == Approx(67));
  CHECK(to_source(done, {0, 0, 500, 500}) == std::array<double, 4>{0, 0, 101, 67});
  CHECK(to_source(done, {48, 32, 60, 40})[1] == Approx(21 * 67.0 / 42));
}

TEST_CASE("evaluate: truth has the numbers of the label file, areas of the COCO file, and crowds") {
  data::Sample s;
  s.width = s.height = 640;
  s.labels = {{1, 0.5f, 0.5f, 0.05f, 0.05f, {}, false}, {0, 0.1f, 0.2f, 0.1f, 0.1f, {}, false}};
  s.crowds = {{0, 0.5f, 0.5f, 1, 1, 77}};
  auto truth = truth_of(s);
  REQUIRE(truth.size() == 3);
  CHECK(truth[0].area == 1024);  // 0.05 in f32 times 640 is more than 32
  CHECK(truth[0].x1 == 304);
  CHECK(truth[0].x2 == 336);
  CHECK(truth[2].crowd);
  CHECK(truth[2].area == 77);
  s.areas = {500, 600};
  truth = truth_of(s, {1});
  REQUIRE(truth.size() == 1);
  CHECK(truth[0].area == 500);
}

TEST_CASE("evaluate: results are those of each image, in the order of the set, for any batch") {
  Setup s;
  const Evaluation whole = s.run(7, false);
  REQUIRE(whole.images.size() == 7);
  CHECK(whole.seen == 7);
  CHECK(whole.width == 64);
  CHECK(whole.speed.inference > 0);
  for (const ImageResult& image : whole.images) {
    CHECK(!image.found.empty());
    CHECK(image.found.size() <= 20);
    CHECK(image.truth.size() == 1);
  }
  CHECK(whole.images[1].truth[0].cls == 1);
  CHECK(same(whole.images, s.run(3, false).images));
  CHECK(s.run(7).width == 96);  // 64 / 32 + 0.5, rounded up
}

TEST_CASE("evaluate: the trainer gets predictions and raw maps of the whole batch") {
  Setup s;
  int calls = 0;
  EvaluateHooks hooks;
  hooks.on_outputs = [&](const data::Batch& batch, const std::vector<models::HeadOutput>& outputs) {
    ++calls;
    REQUIRE(outputs.size() == 2);
    CHECK(outputs[0].predictions.size(0) == 7);
    CHECK(outputs[0].raw.size() == 3);
    const auto& direct = s.detector.forward(batch.images);
    for (size_t h = 0; h < 2; ++h) {
      const auto equal = [](const Tensor& a, const Tensor& b) {
        return a.shape() == b.shape() &&
               std::memcmp(a.data<float>(), b.data<float>(), size_t(a.numel()) * sizeof(float)) == 0;
      };
      CHECK(equal(outputs[h].predictions, direct[h].predictions));
      CHECK(equal(outputs[h].raw[2], direct[h].raw[2]));
    }
  };
  s.run(7, false, hooks);
  CHECK(calls == 1);
}

TEST_CASE("evaluate: what a head finds in images that are not labelled for it does not count") {
  Setup s;
  s.dataset.change(2).labelled = 0b01;
  int64_t shown = 0, counted = 0;
  EvaluateHooks hooks;
  hooks.on_found = [&](const data::Batch& batch, const EvaluateHooks::Boxes& found) {
    for (size_t i = 0; i < found.size(); ++i)
      if (batch.indices[i] == 2)
        for (const ScoredBox& d : found[i]) shown += d.cls == 2;
  };
  const Evaluation e = s.run(7, true, hooks);
  for (const ScoredBox& d : e.images[2].found) counted += d.cls == 2;
  CHECK(shown > 0);
  CHECK(counted == 0);
}

TEST_CASE("evaluate: hybrid boxes hold the labels with score 1 and leave the metrics alone") {
  Setup s;
  const Evaluation plain = s.run();
  EvaluateHooks hooks;
  int images = 0;
  hooks.on_hybrid = [&](const data::Batch& batch, const EvaluateHooks::Boxes& found) {
    for (size_t i = 0; i < found.size(); ++i) {
      ++images;
      const TruthBox t = truth_of(s.dataset.sample(batch.indices[i])).at(0);
      CHECK(found[i][0].score == 1);
      CHECK(found[i][0].cls == t.cls);
      CHECK(found[i][0].x1 == Approx(t.x1).margin(0.01));
      CHECK(found[i][0].y2 == Approx(t.y2).margin(0.01));
    }
  };
  CHECK(same(plain.images, s.run(7, true, hooks).images));
  CHECK(images == 7);
}

TEST_CASE("evaluate: with one class for all every detection is class 0 and boxes suppress each other") {
  Setup s;
  s.params.single_cls = true;
  s.params.heads.clear();
  s.params.iou_thres = 0.1;
  for (const ImageResult& image : s.run().images)
    for (const ScoredBox& d : image.found) CHECK(d.cls == 0);
}

TEST_CASE("evaluate: stops early with the images it reached") {
  Setup s;
  int calls = 0;
  EvaluateHooks hooks;
  hooks.stop = [&] { return calls++ == 2; };
  CHECK(s.run(2, false, hooks).images.size() == 4);
}
