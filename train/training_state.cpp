#include "train/training_state.h"

#include "train/document_fields.h"

namespace mtyolo::train {
namespace {

// The counters, in the key `rng`.
template <class S, class Visit>
void visit_counters(S& s, Visit&& visit) {
  visit("epoch", s.epoch);
  visit("batch", s.batch);
  visit("iteration", s.iteration);
  visit("optimizer_steps", s.optimizer_steps);
  visit("warmup_iterations", s.warmup_iterations);
  visit("schedule", s.schedule);
  visit("counted", s.counted);
  visit("labels", s.labels);
  visit("best_fitness", s.best_fitness);
  visit("best_epoch", s.best_epoch);
  visit("head_fitness", s.head_fitness);
  visit("class_ap", s.class_ap);
  visit("seconds", s.seconds);
  visit("skipped_steps", s.skipped_steps);
  visit("unreadable", s.unreadable);
  visit("rollbacks", s.rollbacks);
  visit("world_size", s.world_size);
  visit("classes", s.classes);
  visit("set_fingerprint", s.set_fingerprint);
  visit("version", s.version);
}

Document losses_document(const std::vector<LossSums>& losses) {
  std::vector<std::vector<double>> rows;
  for (const LossSums& l : losses) rows.push_back({l.box, l.obj, l.cls, double(l.batches)});
  return to_field(rows);
}

// States of older versions count micro-batches for all heads at once.
std::vector<LossSums> losses_from(const Document& map, int64_t counted) {
  std::vector<std::vector<double>> rows;
  take_field(map, "losses", rows);
  std::vector<LossSums> losses;
  for (const auto& row : rows) {
    const bool fits = row.size() == 3 || (row.size() == 4 && row[3] >= 0 && row[3] <= double(counted));
    if (!fits) throw document_error(map, "losses hold something else than three sums and a count per head");
    losses.push_back({row[0], row[1], row[2], row.size() == 3 ? counted : int64_t(row[3])});
  }
  return losses;
}

}  // namespace

void put_state(const TrainingState& state, models::Checkpoint& checkpoint) {
  checkpoint.epoch = state.epoch;
  checkpoint.best_fitness = state.best_fitness;
  checkpoint.training_results = state.results_txt;
  Document rng = Document::map({});
  put_field(rng, "seed", state.settings.seed);
  visit_counters(state, [&](const char* name, const auto& value) { put_field(rng, name, value); });
  put_field(rng, "losses", losses_document(state.losses));
  checkpoint.rng = std::move(rng);
  checkpoint.results = Document::map({});
  put_field(checkpoint.results, "csv", results_csv(state.results));
  put_field(checkpoint.results, "settings", settings_to_document(state.settings));
}

TrainingState state_from(const models::Checkpoint& checkpoint) {
  if (!checkpoint.rng.is_map() || !checkpoint.results.is_map())
    throw Error({ExitCode::kModel,
                 "no_state",
                 "holds weights only, no state of a training run",
                 checkpoint.file,
                 {},
                 "start from these weights with --weights"});
  try {
    TrainingState state;
    visit_counters(state, [&](const char* name, auto& value) { take_field(checkpoint.rng, name, value); });
    state.losses = losses_from(checkpoint.rng, state.counted);
    std::string csv;
    take_field(checkpoint.results, "csv", csv);
    state.results = parse_results_csv(csv);
    state.results_txt = checkpoint.training_results;
    if (const Document* settings = checkpoint.results.find("settings"))
      state.settings = settings_from_document(*settings);
    return state;
  } catch (const Error& e) {
    ErrorInfo info = e.in_file(checkpoint.file).info();
    info.exit = ExitCode::kModel;
    throw Error(std::move(info));
  }
}

}  // namespace mtyolo::train
