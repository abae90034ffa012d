// One epoch: its samples, its micro-batches, validation of the averages, a row of results, a checkpoint.
#include <cmath>
#include <limits>

#include "core/log.h"
#include "models/plan/detector.h"
#include "train/image_weights.h"
#include "train/repeat_factors.h"
#include "train/trainer.h"

namespace mtyolo::train {
namespace {

constexpr double kGib = double(1 << 30), kNone = std::numeric_limits<double>::quiet_NaN();
constexpr double kValidationIou = 0.6;
constexpr int kShownBatches = 3;
// After a return to an older state the samples come in another order.
constexpr int64_t kOrderStep = 1'000'000;

std::vector<int64_t> weighted_order(const data::Dataset& set, const std::vector<double>& ap, uint64_t seed,
                                    int64_t epoch) {
  std::vector<std::vector<int>> classes(size_t(set.size()));
  std::vector<int64_t> counts(ap.size());
  for (int64_t i = 0; i < set.size(); ++i)
    for (const data::Label& l : set.sample(i).labels) {
      classes[size_t(i)].push_back(l.cls);
      ++counts.at(size_t(l.cls));
    }
  return draw_images(image_weights(classes, class_weights(counts), ap), seed, int(epoch));
}

}  // namespace

void Trainer::begin_epoch() {
  const Settings& s = setup_.settings;
  const bool thawed = s.unfreeze_at > 0 && state_.epoch >= s.unfreeze_at;
  learner_->freeze(thawed ? std::set<std::string>{} : setup_.frozen, s.freeze_bn);
  loader_->set_augmentation(augmentation(state_.epoch));
  const int64_t order_epoch = state_.epoch + state_.rollbacks * kOrderStep;
  std::vector<int64_t> order;
  if (s.image_weights) {
    state_.class_ap.resize(setup_.data.names.size(), 0);
    order = weighted_order(*setup_.train_set, state_.class_ap, uint64_t(s.seed), order_epoch);
  } else if (setup_.hyp.repeat_thr > 0) {
    order = draw_repeated(repeat_factors(*setup_.train_set, setup_.data.heads, setup_.hyp.repeat_thr),
                          uint64_t(s.seed), order_epoch);
  }
  loader_->begin_epoch(order_epoch, state_.batch, std::move(order));
  if (window_->pending() > 0) learner_->clear_gradients();  // the reference's rule loses a partial window
  window_->start_epoch();
  if (state_.batch == 0) {
    state_.losses.assign(state_.losses.size(), {});
    state_.counted = state_.labels = 0;
  }
  mark_border();
  images_in_epoch_ = steps_in_epoch_ = 0;
  epoch_began_ = Clock::now();
  epoch_times_ = clock_.seconds();
}

bool Trainer::next_batch(data::Batch& batch) {
  const PhaseClock::Scope phase(clock_, Phase::kWait);
  return loader_->next(batch);
}

Trainer::Flow Trainer::run_epoch() {
  begin_epoch();
  data::Batch batch;
  while (next_batch(batch)) {
    if (const Flow flow = micro_batch(batch); flow != Flow::kGoOn) return flow;
    note_unreadable();
    if (state_.batch == loader_->batches()) break;
    if (stop_reason()) return Flow::kStop;
    if (window_->pending() == 0 && Clock::now() - saved_ >= hooks_.save_every) {
      const std::string bad = learner_->first_bad_weight();
      if (!bad.empty()) return roll_back("the weight " + bad + " is not finite");
      save();
    }
  }
  return end_epoch();
}

Trainer::Flow Trainer::end_epoch() {
  const std::string bad = learner_->first_bad_weight();
  if (!bad.empty()) return roll_back("the weight " + bad + " is not finite");
  const Settings& s = setup_.settings;
  const double trained = std::chrono::duration<double>(Clock::now() - epoch_began_).count();
  images_per_s_ = trained > 0 ? double(images_in_epoch_) / trained : 0;
  const bool due = val_loader_ && ((state_.epoch + 1) % s.val_period == 0 || is_last_epoch());
  validated_ = best_ = false;
  best_files_.clear();
  if (due && !validate()) return Flow::kStop;
  add_results_row();
  schedule_->end_epoch(validated_ ? report_.all.fitness() : 0);
  const int64_t epoch = state_.epoch++;
  state_.batch = 0;
  mark_border();
  write_results();
  std::vector<std::string> also;
  if (s.save_period > 0 && (epoch + 1) % s.save_period == 0)
    also.push_back(fmt::format("epoch_{:03}.pt", epoch));
  save(std::move(also), best_files_);
  const EpochEvent event{epoch, s.epochs, &state_.results, validated_, best_, take_scalars()};
  tell([&](Observer* o) { o->on_epoch(event); });
  warnings_.end_epoch();
  PhaseSeconds times = clock_.seconds();
  for (size_t i = 0; i < times.size(); ++i) times[i] -= epoch_times_[i];
  log::debug("epoch {}, {}", epoch, time_line(times));
  return Flow::kGoOn;
}

bool Trainer::validate() {
  const PhaseClock::Scope phase(clock_, Phase::kValidation);
  const models::Graph& graph = learner_->graph();
  models::Detector detector(ctx_, graph, learner_->averages(), impls_, {.keep_raw = true});
  EvaluateParams params;
  params.iou_thres = kValidationIou;
  params.single_cls = setup_.settings.single_cls;
  params.heads = setup_.data.heads;
  EvaluateHooks hooks;
  validation_losses_.assign(graph.heads.size(), {});
  hooks.on_outputs = [&](const data::Batch& batch, const std::vector<models::HeadOutput>& outputs) {
    const auto losses = learner_->validation_losses(outputs, batch);
    for (size_t h = 0; h < losses.size(); ++h) {
      validation_losses_[h].box += losses[h].box;
      validation_losses_[h].obj += losses[h].obj;
      validation_losses_[h].cls += losses[h].cls;
      validation_losses_[h].batches += losses[h].images > 0;
    }
  };
  int shown = 0;
  hooks.on_found = [&](const data::Batch& batch, const EvaluateHooks::Boxes& found) {
    if (shown < kShownBatches) tell([&](Observer* o) { o->on_validation_batch(shown, batch, found); });
    ++shown;
  };
  hooks.progress = [&](int64_t images) {
    tell([&](Observer* o) { o->on_validating(images, setup_.val_set->size()); });
  };
  hooks.stop = [&] { return hooks_.interrupted && hooks_.interrupted(); };
  const Evaluation e = evaluate(detector, *setup_.val_set, *val_loader_, params, hooks);
  if (hooks.stop()) return false;
  for (LossSums& l : validation_losses_) l = l.mean();
  std::vector<data::HeadCfg> rows;
  if (graph.heads.size() > 1)
    for (const models::Head& h : graph.heads) rows.push_back({h.name, h.classes, 1});
  report_ = report_metrics(e.images, MetricKind::kV7, setup_.data.names, rows);
  state_.class_ap.assign(setup_.data.names.size(), 0);
  for (const ClassMetrics& c : report_.yolo.classes) state_.class_ap[size_t(c.cls)] = c.ap50_95();
  validated_ = true;
  find_best();
  tell([&](Observer* o) { o->on_validation({state_.epoch, &report_, &e, setup_.val_set.get(), best_}); });
  return true;
}

// Over all classes, and for each of several heads alone: weights/best_a.pt is the network as it was when head
// a was best.
void Trainer::find_best() {
  best_ = report_.all.fitness() > state_.best_fitness;
  if (best_) {
    state_.best_fitness = report_.all.fitness();
    state_.best_epoch = state_.epoch;
    best_files_.push_back("best.pt");
  }
  state_.head_fitness.resize(report_.heads.size(), -1);
  for (size_t h = 0; h < report_.heads.size(); ++h) {
    const double fitness = report_.heads[h].fitness();
    if (report_.heads[h].labels == 0 || !(fitness > state_.head_fitness[h])) continue;
    state_.head_fitness[h] = fitness;
    best_files_.push_back("best_" + report_.heads[h].head + ".pt");
  }
}

// To the log as one line.
std::vector<std::pair<std::string, double>> Trainer::take_scalars() {
  auto scalars = learner_->head_scalars();
  std::string text;
  for (const auto& [tag, value] : scalars)
    text += fmt::format("{}{} {:.4g}", text.empty() ? "" : ", ", tag, value);
  if (!text.empty()) log::info("{}", text);
  return scalars;
}

void Trainer::add_results_row() {
  const size_t heads = state_.losses.size();
  std::vector<LossSums> train;
  for (const LossSums& l : state_.losses) train.push_back(l.mean());
  const auto weighted = [&](const std::vector<LossSums>& parts) {
    LossSums sum;
    for (size_t h = 0; h < parts.size(); ++h) {
      const double w = learner_->head_weight(h);
      sum.box += w * parts[h].box, sum.obj += w * parts[h].obj, sum.cls += w * parts[h].cls;
    }
    return sum;
  };
  const auto put = [&](std::vector<double>& row, const LossSums& t, const MetricsRow* m, const LossSums& v) {
    for (const double x : {t.box, t.obj, t.cls}) row.push_back(x);
    if (m != nullptr)
      row.insert(row.end(), {m->precision, m->recall, m->map50, m->map50_95, v.box, v.obj, v.cls});
    else row.insert(row.end(), 7, kNone);
  };
  const Rates rates = schedule_->rates(std::max<int64_t>(0, state_.iteration - 1), int(state_.epoch));
  const double memory = double(ctx_.allocator()->stats().peak_bytes) / kGib;
  const LossSums all = weighted(train), val = validated_ ? weighted(validation_losses_) : LossSums{};
  std::vector<double> row{double(state_.epoch), seconds()};
  put(row, all, validated_ ? &report_.all : nullptr, val);
  row.insert(row.end(), rates.lr.begin(), rates.lr.end());
  row.insert(row.end(), {memory, images_per_s_});
  for (size_t h = 0; heads > 1 && h < heads; ++h)
    put(row, train[h], validated_ ? &report_.heads[h] : nullptr,
        validated_ ? validation_losses_[h] : LossSums{});
  state_.results.rows.push_back(std::move(row));

  ResultsLine line;
  line.epoch = int(state_.epoch), line.epochs = setup_.settings.epochs;
  line.labels = int(last_labels_), line.img_size = last_size_;
  line.memory_gb = memory;
  line.box = all.box, line.obj = all.obj, line.cls = all.cls;
  if (validated_) {
    const double values[7] = {report_.all.precision,
                              report_.all.recall,
                              report_.all.map50,
                              report_.all.map50_95,
                              val.box,
                              val.obj,
                              val.cls};
    std::copy(std::begin(values), std::end(values), line.val);
  }
  state_.results_txt += results_txt_line(line);
}

// A failure is no reason to stop: the table is written again after the next epoch.
void Trainer::write_results() {
  const PhaseClock::Scope phase(clock_, Phase::kSaving);
  try {
    write_file_atomically(folder_ + "/results.csv", results_csv(state_.results));
    write_file_atomically(folder_ + "/results.txt", state_.results_txt);
  } catch (const Error& e) {
    warnings_.warn("results", fmt::format("results.csv was not written: {}", e.what()));
  }
}

}  // namespace mtyolo::train
