#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/fault.h"
#include "core/log.h"
#include "core/yaml.h"
#include "data/image_cache.h"
#include "models/heads.h"
#include "train/document_fields.h"

namespace mtyolo::train {
namespace {

constexpr double kGib = double(1 << 30);

data::AugmentParams augmentation_of(const Hyp& h) {
  data::AugmentParams p;
  p.mosaic = h.mosaic, p.mixup = h.mixup, p.copy_paste = h.copy_paste, p.paste_in = h.paste_in;
  p.degrees = h.degrees, p.translate = h.translate, p.scale = h.scale, p.shear = h.shear;
  p.perspective = h.perspective, p.flipud = h.flipud, p.fliplr = h.fliplr;
  p.hsv_h = h.hsv_h, p.hsv_s = h.hsv_s, p.hsv_v = h.hsv_v;
  return p;
}

IouKind iou_by_name(const std::string& name) {
  if (name == "giou") return IouKind::kGiou;
  return name == "diou" ? IouKind::kDiou : IouKind::kCiou;
}

LearnerParams learner_params(const RunSetup& setup) {
  const Settings& s = setup.settings;
  LearnerParams p;
  p.hyp = setup.hyp;
  p.heads = setup.data.heads;
  p.optimizer = optimizer_by_name(s.optimizer);
  p.iou = iou_by_name(s.iou_loss);
  p.assigner = s.assigner;
  p.label_smoothing = s.label_smoothing;
  p.ema_decay = s.ema;
  p.img_size = s.img_size;
  p.total_batch = s.batch_size;
  p.nominal_batch = s.nbs;
  p.compat = compat_by_name(s.compat);
  p.recompute = s.recompute;
  p.dtype = compute_type(s.dtype);
  p.head_loss = head_loss_rule_by_name(s.head_loss);
  p.seed = uint64_t(s.seed);
  return p;
}

std::unique_ptr<data::Loader> training_loader(const RunSetup& setup) {
  const Settings& s = setup.settings;
  data::LoaderParams p;
  p.batch_size = s.batch_size;
  p.img_size = s.img_size;
  p.stride = setup.stride;
  p.rect = s.rect;
  p.augment = p.shuffle = p.merge_last_image = true;
  p.augmentation = augmentation_of(setup.hyp);
  p.workers = s.workers;
  p.seed = uint64_t(s.seed);
  if (!s.cache.empty()) {
    data::ImageCacheParams c;
    c.mode = s.cache == "ram" ? data::CacheMode::kRam : data::CacheMode::kDisk;
    c.img_size = s.img_size;
    c.augment = true;
    c.folder = (std::filesystem::path(setup.data.file).parent_path() / ".mtyolo_cache").string();
    p.cache = std::make_shared<data::ImageCache>(*setup.train_set, c);
  }
  return std::make_unique<data::Loader>(*setup.train_set, p);
}

std::unique_ptr<data::Loader> validation_loader(const RunSetup& setup) {
  if (!setup.val_set) return nullptr;
  data::LoaderParams p;
  p.batch_size = int(std::min<int64_t>(2 * int64_t(setup.settings.batch_size), setup.val_set->size()));
  p.img_size = setup.settings.img_size;
  p.stride = setup.stride;
  p.rect = true;
  p.pad = 0.5;
  p.workers = setup.settings.workers;
  return std::make_unique<data::Loader>(*setup.val_set, p);
}

ScheduleParams schedule_params(const RunSetup& setup, int64_t batches) {
  const Settings& s = setup.settings;
  const Hyp& h = setup.hyp;
  ScheduleParams p;
  p.kind = lr_schedule_by_name(s.lr_schedule);
  p.lr0 = h.lr0, p.lrf = h.lrf, p.momentum = h.momentum;
  p.warmup_epochs = h.warmup_epochs, p.warmup_momentum = h.warmup_momentum;
  p.warmup_bias_lr = h.warmup_bias_lr;
  p.momentum_warmup = optimizer_by_name(s.optimizer) == OptimizerKind::kSgd;
  p.epochs = s.epochs;
  p.batches_per_epoch = batches;
  p.total_batch = s.batch_size;
  p.nominal_batch = s.nbs;
  p.compat = compat_by_name(s.compat);
  return p;
}

}  // namespace

const char* name_of(EndReason reason) {
  switch (reason) {
    case EndReason::kEpochs:
      return "epochs";
    case EndReason::kPatience:
      return "patience";
    case EndReason::kMaxSteps:
      return "max_steps";
    case EndReason::kTimeLimit:
      return "time_limit";
    case EndReason::kInterrupted:
      return "interrupted";
    case EndReason::kFailed:
      return "error";
  }
  return "";
}

Trainer::Trainer(Context& ctx, const ops::Impls& impls, RunSetup setup, std::string folder,
                 TrainerHooks hooks, const models::Checkpoint* resume)
    : ctx_(ctx),
      impls_(impls),
      setup_(std::move(setup)),
      folder_(std::move(folder)),
      hooks_(std::move(hooks)),
      warnings_([this](const std::string& code, const std::string& text) {
        tell([&](Observer* o) { o->on_warning(code, text); });
      }) {
  Settings& s = setup_.settings;
  if (s.batch_size > setup_.train_set->size()) {
    s.batch_size = int(setup_.train_set->size());
    log::warning("--batch-size is larger than the training set: {} is used", s.batch_size);
  }
  store_ = std::make_unique<CheckpointStore>(folder_);
  log::also_to(folder_ + "/train.log");
  learner_ = std::make_unique<Learner>(ctx_, impls_, setup_.model, learner_params(setup_));
  loader_ = training_loader(setup_);
  val_loader_ = validation_loader(setup_);
  ScheduleParams rates = schedule_params(setup_, loader_->batches());
  window_ = std::make_unique<Window>(rates.compat);
  std::vector<std::string> heads;
  for (const models::Head& h : learner_->graph().heads) heads.push_back(h.name);
  if (resume != nullptr) {
    rates.warmup_iterations = state_from(*resume).warmup_iterations;
    schedule_ = std::make_unique<Schedule>(rates);
    take_up(*resume);
    seconds_before_ = state_.seconds;
  } else {
    schedule_ = std::make_unique<Schedule>(rates);
    state_.warmup_iterations = schedule_->warmup_iterations();
    state_.losses.resize(heads.size());
    state_.results.columns = results_columns(heads);
    state_.set_fingerprint = setup_.fingerprint;
    state_.classes = int64_t(setup_.data.names.size());
  }
  state_.settings = s;
  mark_border();
  began_ = saved_ = Clock::now();
  write_settings();
}

Trainer::~Trainer() = default;

data::AugmentParams Trainer::augmentation(int64_t epoch) const {
  data::AugmentParams p = augmentation_of(setup_.hyp);
  p.mosaic_enabled = epoch < setup_.settings.epochs - setup_.hyp.close_mosaic;
  return p;
}

void Trainer::write_settings() const {
  Document d = settings_to_document(setup_.settings);
  put_field(d, "save-dir", folder_);
  put_field(d, "threads", ctx_.pool().size());
  write_file_atomically(folder_ + "/opt.yaml", to_yaml(d));
  write_file_atomically(folder_ + "/hyp.yaml", hyp_yaml(setup_.hyp, learner_->scaled()));
  data::DataCfg data = setup_.data;
  data.names = setup_.label_names;
  write_file_atomically(folder_ + "/data.yaml", to_yaml(data_document(data)));
  write_file_atomically(folder_ + "/cfg.yaml", to_yaml(setup_.model.cfg.document));
}

std::vector<std::string> Trainer::plan() const {
  const Settings& s = setup_.settings;
  const models::Graph& graph = learner_->graph();
  std::vector<std::string> lines = setup_.notes;
  std::vector<std::string> heads;
  for (const models::Head& h : graph.heads)
    heads.push_back(fmt::format("{} ({} class{}, {})", h.name, h.nc(), h.nc() == 1 ? "" : "es", h.type));
  lines.push_back(fmt::format("network: {}, {:.1f} M parameters, heads: {}", setup_.model.cfg.source,
                              double(graph.parameter_count()) / 1e6, fmt::join(heads, ", ")));
  if (!setup_.anchor_message.empty()) lines.push_back(setup_.anchor_message);
  const int accumulate = accumulation(s.batch_size, s.nbs);
  lines.push_back(fmt::format("epochs {}..{}, {} batches each; batch {} x {} = {}", state_.epoch,
                              s.epochs - 1, loader_->batches(), s.batch_size, accumulate,
                              s.batch_size * accumulate));
  const int64_t warm = state_.warmup_iterations;
  lines.push_back(
      fmt::format("learning rate: 0 to {:.4g} in {} iterations ({:.1f} epochs), then {} to {:.4g}; {}",
                  setup_.hyp.lr0, warm, double(warm) / double(loader_->batches()), s.lr_schedule,
                  setup_.hyp.lr0 * schedule_->factor(s.epochs - 1), s.optimizer));
  if (!setup_.resumed && !schedule_->message().empty()) lines.push_back(schedule_->message());
  if (!setup_.frozen.empty())
    lines.push_back(fmt::format("frozen: {} of {} parameters (--freeze {}){}", setup_.frozen.size(),
                                learner_->store().parameters().size(), fmt::join(s.freeze, ","),
                                s.unfreeze_at > 0 ? fmt::format(", until epoch {}", s.unfreeze_at) : ""));
  if (graph.heads.size() > 1 && s.head_loss != "fixed")
    lines.push_back(fmt::format("losses of the heads: {}", s.head_loss));
  if (!graph.couplings.empty())
    lines.push_back(fmt::format("soft sharing: {} pairs of parameters are tied", graph.couplings.size()));
  if (s.freeze_bn) lines.push_back("frozen: running statistics of all batch norms");
  if (compute_type(s.dtype) == DType::kBF16)
    lines.push_back(
        "bf16: maps and what convolutions multiply; weights, sums, statistics and losses stay fp32");
  lines.push_back(fmt::format("memory: about {:.1f} GiB{}", double(estimate_memory(graph, s)) / kGib,
                              s.recompute ? " without --recompute, less with it" : ""));
  if (setup_.resumed)
    lines.push_back(fmt::format("resumed: epoch {}, batch {}, optimizer step {}", state_.epoch, state_.batch,
                                state_.optimizer_steps));
  return lines;
}

void Trainer::take_up(const models::Checkpoint& checkpoint) {
  learner_->restore(checkpoint);
  state_ = state_from(checkpoint);
  state_.settings = setup_.settings;
  if (state_.losses.size() != learner_->graph().heads.size())
    state_.losses.assign(learner_->graph().heads.size(), {});
  if (state_.schedule.is_map()) schedule_->restore(state_.schedule);
  mark_border();
}

double Trainer::seconds() const {
  return seconds_before_ + std::chrono::duration<double>(Clock::now() - began_).count();
}

void Trainer::save(std::vector<std::string> also, std::vector<std::string> best) {
  const PhaseClock::Scope phase(clock_, Phase::kSaving);
  state_.seconds = seconds();
  state_.schedule = schedule_->state();
  state_.version = MTYOLO_VERSION;
  Snapshot snapshot;
  models::Checkpoint& c = snapshot.checkpoint;
  learner_->save(c, ended_ || state_.epoch >= setup_.settings.epochs);
  c.cfg = setup_.model.cfg.document;
  c.heads = models::heads_to_document(setup_.model.heads);
  c.names = setup_.data.names;
  c.hyp = hyp_to_document(setup_.hyp);
  c.bn_eps = setup_.model.bn_eps;
  std::vector<std::vector<double>> anchors;
  for (const auto& level : learner_->graph().heads[0].anchors)
    anchors.emplace_back(level.begin(), level.end());
  c.anchors = to_field(anchors);
  put_state(state_, c);
  snapshot.also = std::move(also);
  snapshot.best = std::move(best);
  store_->write_last(std::move(snapshot));
  saved_ = Clock::now();
  take_results(false);
}

void Trainer::take_results(bool wait) {
  const PhaseClock::Scope phase(clock_, Phase::kSaving);
  for (const WrittenCheckpoint& w : store_->take_results(wait)) {
    last_write_failed_ = !w.error.empty();
    if (last_write_failed_) warnings_.warn("checkpoint", "the checkpoint was not written: " + w.error);
    else tell([&](Observer* o) { o->on_checkpoint(w.path, state_.epoch); });
  }
}

std::optional<EndReason> Trainer::stop_reason() {
  if (hooks_.interrupted && hooks_.interrupted()) return EndReason::kInterrupted;
  const Settings& s = setup_.settings;
  // Monotonic, so that a clock that is set does not end the run.
  const double here =
      std::chrono::duration<double>(Clock::now() - began_).count() + fault::at("clock").jump_seconds;
  if (s.time_limit > 0 && here >= s.time_limit * 3600) return EndReason::kTimeLimit;
  if (s.max_steps > 0 && state_.optimizer_steps >= s.max_steps && window_->pending() == 0)
    return EndReason::kMaxSteps;
  return std::nullopt;
}

Outcome Trainer::run() {
  const Settings& s = setup_.settings;
  if (state_.epoch >= s.epochs)
    throw Error({ExitCode::kUsage,
                 "resume",
                 fmt::format("nothing to resume: {} of {} epochs are done", state_.epoch, s.epochs),
                 folder_,
                 {},
                 "extend the run with a larger --epochs"});
  const auto lines = plan();
  tell([&](Observer* o) { o->on_start(setup_, state_, lines); });
  try {
    return finish(run_epochs());
  } catch (const std::bad_alloc&) {
    report_failure("out of memory");
    throw;
  } catch (const std::exception& e) {
    report_failure(e.what());
    throw;
  }
}

EndReason Trainer::run_epochs() {
  const Settings& s = setup_.settings;
  write_results();
  if (!setup_.resumed) save({"init.pt"});
  while (state_.epoch < s.epochs) {
    if (const auto stop = stop_reason()) return *stop;
    if (checked_epoch() == Flow::kStop) {
      const EndReason reason = stop_reason().value_or(EndReason::kInterrupted);
      return_to_border();
      save();
      return reason;
    }
    const bool waits = s.patience > 0 && state_.best_epoch >= 0 && state_.epoch < s.epochs;
    if (waits && state_.epoch - 1 - state_.best_epoch >= s.patience) {
      log::info("no better epoch for {} epochs: training ends (--patience)", s.patience);
      ended_ = true;
      save();
      return EndReason::kPatience;
    }
  }
  return EndReason::kEpochs;
}

// The images are gone: what was learned until then is kept (reliability.md section 8).
Trainer::Flow Trainer::checked_epoch() {
  try {
    return run_epoch();
  } catch (const Error& e) {
    if (e.exit_code() != ExitCode::kData) throw;
    try {
      return_to_border();
      save();
      take_results(true);
    } catch (const std::exception& second) {
      log::warning("what was learned since the last checkpoint is lost: {}", second.what());
    }
    throw;
  }
}

Outcome Trainer::outcome(EndReason reason) {
  Outcome o;
  o.reason = reason;
  o.folder = folder_;
  o.checkpoint = store_->path("last.pt");
  o.epochs_done = state_.epoch;
  o.optimizer_steps = state_.optimizer_steps;
  o.best_epoch = state_.best_epoch;
  o.best_fitness = state_.best_fitness;
  o.seconds = seconds();
  o.skipped_steps = state_.skipped_steps;
  o.unreadable = state_.unreadable;
  o.left_out = setup_.train_set->report().refused + (setup_.val_set ? setup_.val_set->report().refused : 0);
  o.rollbacks = state_.rollbacks;
  o.time = clock_.seconds();
  return o;
}

Outcome Trainer::finish(EndReason reason) {
  take_results(true);
  if (last_write_failed_) {
    save();
    take_results(true);
  }
  warnings_.end_epoch();
  const Outcome o = outcome(reason);
  if (last_write_failed_)
    throw Error({ExitCode::kRuntime,
                 "file_write",
                 "the last checkpoint could not be written",
                 o.checkpoint,
                 {},
                 "make room and go on with --resume " + folder_});
  log::info("{}", time_line(o.time));
  tell([&](Observer* observer) { observer->on_end(o); });
  return o;
}

// What there is of a run is reported; nothing that goes wrong here hides the error that ended it.
void Trainer::report_failure(const std::string& what) noexcept {
  for (Observer* observer : hooks_.observers) {
    try {
      Outcome o = outcome(EndReason::kFailed);
      o.error = what;
      observer->on_failure(o);
    } catch (const std::exception&) {
      continue;
    }
  }
}

}  // namespace mtyolo::train
