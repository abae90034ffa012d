// mtyolo train: flags, the run folder, resuming. The loop is train/trainer.h.
#include <filesystem>

#include "cli/run_folder.h"
#include "cli/signals.h"
#include "cli/train_console.h"
#include "cli/train_files.h"
#include "cli/verbs.h"
#include "core/log.h"
#include "train/trainer.h"

namespace mtyolo::cli {
namespace {

namespace fs = std::filesystem;

class Train : public Verb {
 public:
  void register_options(Options& o) override {
    options_ = &o;
    train::Settings& s = settings_;
    o.positional({"DATA.yaml", "the data set", false, {"data", "source"}}, s.data);
    o.text("weights", s.weights, "start from these weights, as far as they fit");
    o.text("cfg", s.cfg, "model description, a shipped name or a path (from the weights, else yolov7)");
    o.text("hyp", s.hyp, "hyper-parameters: p5, p6, tiny, custom or a file");
    o.integer("epochs", s.epochs, 1, 100000, "passes over the training set");
    o.integer("batch-size", s.batch_size, -1, 4096, "images per micro-batch; -1: what memory holds");
    o.integer("nbs", s.nbs, 1, 65536, "nominal batch size: micro-batches are accumulated up to it");
    o.image_size("img-size", s.img_size, "side of the network input");
    o.integer("workers", s.workers, 0, 256, "threads that read and augment images");
    o.optional_text("resume", resume_,
                    "go on with a run: its folder or a checkpoint in it; alone: the newest in --project");
    o.toggle("finetune", finetune_, "what --weights always does: take weights alone, start at epoch 0");
    register_learning(o);
    register_course(o);
    o.shorthand("adam", "optimizer", "adam");
    o.shorthand("linear-lr", "lr-schedule", "linear");
    o.shorthand("cache-images", "cache", "ram");
    o.alias("notest", "noval");
  }

  ExitCode run(const CommonOptions& common) override {
    settings_.seed = common.seed;
    Context ctx = make_context(common);
    const ops::Impls impls = make_impls(common);
    std::optional<models::Checkpoint> checkpoint;
    std::string folder;
    if (options_->given("resume")) folder = take_up(common, checkpoint);
    train::RunSetup setup = train::prepare_run(ctx, settings_, checkpoint ? &*checkpoint : nullptr);
    if (checkpoint) check_same_run(setup, *checkpoint);
    if (folder.empty()) folder = make_run_folder(common);
    TrainConsole console(common);
    TrainFiles files(folder, settings_, ctx.pool().size(), console);
    std::vector<train::Observer*> observers = files.observers();
    observers.insert(observers.begin(), &console);
    train::Trainer trainer(ctx, impls, std::move(setup), folder, {observers, [] { return interrupted(); }},
                           checkpoint ? &*checkpoint : nullptr);
    checkpoint.reset();
    trainer.run();
    return ExitCode::kDone;
  }

 private:
  void register_learning(Options& o) {
    train::Settings& s = settings_;
    o.group("Learning");
    o.list("freeze", s.freeze, "trunk, head names, rows 0-50; one number n: the first n rows");
    o.integer("unfreeze-at", s.unfreeze_at, 0, 100000, "epoch from which nothing is frozen, 0 = never");
    o.toggle("freeze-bn", s.freeze_bn, "running statistics of batch norms stay");
    o.choice("optimizer", s.optimizer, {"sgd", "adam", "adamw"}, "");
    o.choice("lr-schedule", s.lr_schedule, {"cosine", "linear", "step", "plateau"},
             "learning rate over the epochs");
    o.real("label-smoothing", s.label_smoothing, 0, 0.5, "of class targets");
    o.choice("iou-loss", s.iou_loss, {"ciou", "giou", "diou"}, "of boxes");
    o.choice("assigner", s.assigner, {"ota", "simple"}, "which cells learn an object (hyp's loss_ota: ota)");
    o.real("ema", s.ema, 0, 0.999999, "decay of the averaged weights");
    o.toggle("multi-scale", s.multi_scale, "input sizes from half to one and a half of --img-size");
    o.toggle("rect", s.rect, "batches of images of like shape, no mosaic");
    o.toggle("single-cls", s.single_cls, "all classes count as one");
    o.toggle("image-weights", s.image_weights, "images with hard classes come more often");
    o.choice("cache", s.cache, {"ram", "disk"}, "keep decoded images");
    o.real("fraction", s.fraction, 1e-6, 1, "share of the training images");
    o.toggle("noautoanchor", s.noautoanchor, "keep the anchors even where they fit badly");
    o.toggle("recompute", s.recompute, "less memory, more time: values are computed again for gradients");
    o.choice("dtype", s.dtype, {"fp32", "fp16", "bf16"},
             "what convolutions multiply and maps are kept in; weights stay fp32; fp16 needs a GPU");
    o.choice("compat", s.compat, {"v7"}, "yolov7's rate lag, window, warm-up and assigner scale");
    o.toggle("strict", s.strict, "stop at the first image or label that is refused");
  }

  void register_course(Options& o) {
    train::Settings& s = settings_;
    o.group("Course of the run");
    o.integer("patience", s.patience, 0, 100000, "stop after so many epochs without a better one, 0 = off");
    o.integer("save-period", s.save_period, -1, 100000,
              "weights/epoch_NNN.pt every so many epochs, -1 = never");
    o.integer("val-period", s.val_period, 1, 100000, "validate every so many epochs");
    o.toggle("noval", s.noval, "no validation");
    o.toggle("noplots", s.noplots, "no pictures, and none in report.html");
    o.integer("max-steps", s.max_steps, 0, int64_t(1) << 50,
              "stop after so many optimizer steps; --resume goes on");
    o.real("time-limit", s.time_limit, 0, 1e6, "stop after so many hours; --resume goes on");
  }

  // The settings are those of the run, flags given win. Returns its folder.
  std::string take_up(const CommonOptions& common, std::optional<models::Checkpoint>& checkpoint) {
    if (options_->given("weights") || options_->given("cfg") || options_->given("hyp"))
      fail(ExitCode::kUsage, "resume",
           "--resume takes weights, cfg and hyp from the run; leave --weights, --cfg and --hyp out");
    const std::string path = resume_.empty() ? train::newest_run(common.project) : resume_;
    const std::string folder = train::run_folder_of(path);
    checkpoint = train::find_checkpoint(path);
    log::info("resuming {} from {}", folder, checkpoint->file);
    train::Settings before = train::state_from(*checkpoint).settings;
    train::Settings merged = before;
    merged.data = folder + "/data.yaml";
    std::vector<std::string> given;
    const Document mine = train::settings_to_document(settings_);
    Document all = train::settings_to_document(merged);
    for (auto& [name, value] : all.fields) {
      const bool positional = name == "data" && !settings_.data.empty();
      if (options_->given(name) || positional) value = *mine.find(name);
    }
    settings_ = train::settings_from_document(all);
    if (!options_->given("max-steps")) settings_.max_steps = 0;
    if (!options_->given("time-limit")) settings_.time_limit = 0;
    before.data = settings_.data;
    for (const std::string& line : train::settings_differences(before, settings_))
      log::info("changed: {}", line);
    return folder;
  }

  // What may not change under a run that goes on.
  void check_same_run(const train::RunSetup& setup, const models::Checkpoint& checkpoint) const {
    const train::TrainingState state = train::state_from(checkpoint);
    if (setup.fingerprint != state.set_fingerprint && setup.settings.fraction == state.settings.fraction)
      throw Error({ExitCode::kUsage,
                   "resume",
                   "its training set (files, sizes or labels) is not the one of the run",
                   setup.data.file,
                   {},
                   fmt::format("start a new run from the weights: --weights {}", checkpoint.file)});
    if (setup.settings.batch_size != state.settings.batch_size)
      log::info("note: with another batch size the run goes on, but not with the bits it would have had");
  }

  const Options* options_ = nullptr;
  train::Settings settings_;
  std::string resume_;
  bool finetune_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_train() { return std::make_unique<Train>(); }

}  // namespace mtyolo::cli
