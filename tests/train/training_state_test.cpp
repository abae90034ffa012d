#include "train/training_state.h"

#include <catch2/catch.hpp>

#include "models/weights/metadata.h"
#include "tests/support/temp_folder.h"
#include "tests/support/throws.h"
#include "train/document_fields.h"

using namespace mtyolo;
using namespace mtyolo::train;
using models::document_to_json;

namespace {

TrainingState sample_state() {
  TrainingState s;
  s.epoch = 3;
  s.batch = 17;
  s.iteration = 1017;
  s.optimizer_steps = (int64_t(1) << 40) + 1;
  s.warmup_iterations = 250;
  s.schedule = Document::map({{"scale", to_field(0.1)}});
  s.losses = {{0.1, 1.0 / 3, 1e-300}, {2, 3, 4}};
  s.counted = 17;
  s.labels = 55;
  s.best_fitness = 0.1 + 0.2;
  s.best_epoch = 2;
  s.class_ap = {0.25, 1.0 / 7};
  s.seconds = 12.5;
  s.skipped_steps = 2;
  s.unreadable = 1;
  s.rollbacks = 1;
  s.results.columns = results_columns({"a", "b"});
  s.results.rows = {std::vector<double>(s.results.columns.size(), 0.123456789)};
  s.results.rows[0][0] = 0;
  s.results_txt = "0/9 a line\n";
  s.settings.freeze = {"trunk", "0-50"};
  return s;
}

}  // namespace

TEST_CASE("training state: written and read back it is the same, bit for bit", "[train][state]") {
  const test::TempFolder folder;
  TrainingState s = sample_state();
  s.settings.data = "7";  // a text, whatever it looks like
  s.settings.max_steps = int64_t(1) << 50;
  s.settings.label_smoothing = 0.1;
  models::Checkpoint c;
  c.model.add("w", Tensor::full({2}, 1));
  put_state(s, c);
  models::write_pt(folder.path("a.pt"), c);
  const models::Checkpoint back = models::read_checkpoint(folder.path("a.pt"));
  const TrainingState t = state_from(back);
  models::Checkpoint again;
  put_state(t, again);
  CHECK(document_to_json(again.rng) == document_to_json(c.rng));
  CHECK(document_to_json(again.results) == document_to_json(c.results));
  CHECK(t.iteration == 1017);
  CHECK(t.optimizer_steps == (int64_t(1) << 40) + 1);
  CHECK(t.best_fitness == 0.1 + 0.2);
  CHECK(t.losses[0].obj == 1.0 / 3);
  CHECK(t.losses[0].cls == 1e-300);
  CHECK(t.class_ap[1] == 1.0 / 7);
  CHECK(t.settings.data == "7");
  CHECK(t.settings.freeze == std::vector<std::string>{"trunk", "0-50"});
  CHECK(t.results_txt == s.results_txt);
  CHECK(settings_differences(s.settings, t.settings).empty());
}

TEST_CASE("training state: weights without a state cannot be resumed", "[train][state]") {
  models::Checkpoint c;
  c.file = "best.pt";
  CHECK(test::error_text([&] { state_from(c); }) ==
        "best.pt: holds weights only, no state of a training run; start from these weights with --weights");
  put_state(sample_state(), c);
  c.rng = Document::map({{"epoch", Document::scalar("x")}});
  CHECK(test::error_code([&] { state_from(c); }) == "config");
}

TEST_CASE("settings: what was changed is listed with both values", "[train][state]") {
  Settings a, b;
  b.epochs = 10;
  b.freeze = {"0-5", "a"};
  CHECK(settings_differences(a, b) ==
        std::vector<std::string>{"epochs: '300' -> '10'", "freeze: '' -> '0-5,a'"});
}
