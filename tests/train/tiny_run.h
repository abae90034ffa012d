// A training run small enough for a test: a network of five rows and sixteen drawn pictures of 64 pixels with
// a red and a blue rectangle each.
#pragma once

#include <string>
#include <vector>

#include "core/random.h"
#include "core/yaml.h"
#include "data/encode.h"
#include "tests/support/temp_folder.h"
#include "train/trainer.h"

namespace mtyolo::test {

inline constexpr int kTinySide = 64;

// One picture of the set: red left, blue right, on grey. Returns the label lines.
inline std::string draw_tiny(data::Image& image, uint64_t index) {
  RandomStream random(7, 1, index);
  for (uint8_t& p : image.pixels) p = uint8_t(60 + index);
  std::string lines;
  for (int cls = 0; cls < 2; ++cls) {
    const int w = int(16 + random.below(10)), h = int(16 + random.below(10));
    const int x = cls * 32 + int(random.below(32 - w + 1)), y = int(random.below(kTinySide - h));
    for (int row = y; row < y + h; ++row)
      for (int column = x; column < x + w; ++column) {
        uint8_t* p = image.row(row) + column * 3;
        p[0] = cls == 0 ? 230 : 40, p[1] = 50, p[2] = cls == 0 ? 40 : 230;
      }
    lines += fmt::format("{} {} {} {} {}\n", cls, (x + w / 2.0) / kTinySide, (y + h / 2.0) / kTinySide,
                         double(w) / kTinySide, double(h) / kTinySide);
  }
  return lines;
}

struct TinyRun {
  TempFolder folder;
  train::Settings settings;

  explicit TinyRun(const std::string& heads = {}, int images = 16) {
    for (int i = 0; i < images; ++i) {
      data::Image image(kTinySide, kTinySide);
      const std::string labels = draw_tiny(image, uint64_t(i));
      folder.write(fmt::format("set/labels/{:02}.txt", i), labels);
      make_folders(folder.path("set/images"));
      data::write_image(folder.path(fmt::format("set/images/{:02}.png", i)), image);
    }
    settings.data =
        folder.write("data.yaml", "train: set/images\nval: set/images\nnames: [red, blue]\n" + heads);
    settings.cfg = folder.write("tiny.yaml",
                                "nc: 2\nanchors: [[12,12, 20,20, 28,28], [24,40, 40,24, 48,48]]\nrows:\n"
                                "  - Conv 16 3 2\n  - Conv 32 3 2\n  - c3: Conv 32 3 2\n  - c4: Conv 48 3 2\n"
                                "head:\n  - IDetect @c3,c4\n");
    settings.hyp = folder.write("hyp.yaml",
                                "lr0: 0.01\nlrf: 0.1\nmosaic: 0\nmixup: 0\npaste_in: 0\nscale: 0.1\n"
                                "translate: 0.05\nhsv_h: 0\nhsv_s: 0\nhsv_v: 0\nfliplr: 0\n");
    settings.epochs = 3;
    settings.batch_size = 4;
    settings.nbs = 8;
    settings.img_size = kTinySide;
    settings.workers = 0;
    settings.noautoanchor = settings.noplots = true;
  }

  // Words of `mtyolo train` for the same settings.
  std::vector<std::string> words(const std::string& name) const {
    return {"train",        settings.data, "--cfg",          settings.cfg,
            "--hyp",        settings.hyp,  "--epochs",       std::to_string(settings.epochs),
            "--batch-size", "4",           "--nbs",          "8",
            "--img-size",   "64",          "--threads",      "1",
            "--workers",    "0",           "--project",      folder.path("runs"),
            "--name",       name,          "--noautoanchor", "--noplots"};
  }

  std::string run_folder(const std::string& name) const { return folder.path("runs/" + name); }

  // Runs into runs/NAME, or goes on there.
  train::Outcome run(const std::string& name, train::TrainerHooks hooks = {}, int threads = 1) const {
    Context ctx(threads);
    ops::Impls impls;
    ops::register_cpu_impls(impls);
    make_folders(run_folder(name));
    train::Trainer trainer(ctx, impls, train::prepare_run(ctx, settings, nullptr), run_folder(name),
                           std::move(hooks));
    return trainer.run();
  }
  train::Outcome resume(const std::string& name, train::TrainerHooks hooks = {}) const {
    Context ctx(1);
    ops::Impls impls;
    ops::register_cpu_impls(impls);
    const models::Checkpoint c = train::find_checkpoint(run_folder(name));
    train::Trainer trainer(ctx, impls, train::prepare_run(ctx, settings, &c), run_folder(name),
                           std::move(hooks), &c);
    return trainer.run();
  }

  models::Checkpoint last(const std::string& name) const {
    return models::read_checkpoint(run_folder(name) + "/weights/last.pt");
  }
};

// Asks to stop after so many micro-batches.
struct StopAfter : train::Observer {
  int64_t left;
  explicit StopAfter(int64_t micro_batches) : left(micro_batches) {}
  void on_step(const train::StepEvent&) override { --left; }
  train::TrainerHooks hooks() {
    return {{this}, [this] { return left <= 0; }};
  }
};

// The first tensor, of weights, averages or optimizer, that differs; empty if none does.
inline std::string first_difference(const models::Checkpoint& a, const models::Checkpoint& b) {
  const std::pair<const models::StateDict*, const models::StateDict*> parts[] = {
      {&a.model, &b.model}, {&a.ema, &b.ema}, {&a.optimizer, &b.optimizer}};
  for (const auto& [x, y] : parts) {
    if (x->size() != y->size()) return "another number of tensors";
    for (const auto& [name, tensor] : x->entries())
      if (y->find(name) == nullptr || !bit_equal(tensor, *y->find(name))) return name;
  }
  return {};
}

// The columns of results.csv that do not depend on the machine.
inline std::string results_without_time(const std::string& run) {
  train::ResultsTable t = train::parse_results_csv(read_file(run + "/results.csv", 1 << 20));
  for (auto& row : t.rows)
    for (size_t i = 0; i < row.size(); ++i)
      if (t.columns[i] == "time" || t.columns[i] == "images_per_s" || t.columns[i] == "gpu_mem_gb")
        row[i] = 0;
  return train::results_csv(t);
}

}  // namespace mtyolo::test
