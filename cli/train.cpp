// mtyolo train: flags, the run folder, resuming. The loop is train/trainer.h.
#include "cli/run_folder.h"
#include "cli/sharing_flags.h"
#include "cli/signals.h"
#include "cli/train_console.h"
#include "cli/train_files.h"
#include "cli/verbs.h"
#include "core/log.h"
#include "train/trainer.h"

namespace mtyolo::cli {
namespace {

// Makes the settings flags.
struct RegisterFlags {
  Options& o;

  template <class T>
  void operator()(const char*, T&) const {}  // of the verb, or of every verb
  void operator()(const char* name, bool& on, const char* help) const { o.toggle(name, on, help); }
  void operator()(const char* name, std::string& v, const char* help) const { o.text(name, v, help); }
  void operator()(const char* name, std::vector<std::string>& v, const char* help) const {
    o.list(name, v, help);
  }
  void operator()(const char* name, std::string& v, const train::Choices& choices, const char* help) const {
    o.choice(name, v, choices, help);
  }
  void operator()(const char* name, int& v, train::ImageSize, const char* help) const {
    o.image_size(name, v, help);
  }
  void operator()(const char* name, double& v, train::Range r, const char* help) const {
    o.real(name, v, r.low, r.high, help);
  }
  template <class Whole>
  void operator()(const char* name, Whole& v, train::Range r, const char* help) const {
    o.integer(name, v, Whole(r.low), Whole(r.high), help);
  }
};

class Train : public Verb {
 public:
  void register_options(Options& o) override {
    options_ = &o;
    train::Settings& s = settings_;
    o.positional({"DATA.yaml", "the data set", false, {"data", "source"}}, s.data);
    train::visit_main_settings(s, RegisterFlags{o});
    o.optional_text("resume", resume_,
                    "go on with a run: its folder or a checkpoint in it; alone: the newest in --project");
    o.toggle("finetune", finetune_, "what --weights always does: take weights alone, start at epoch 0");
    o.group("Learning");
    train::visit_learning_settings(s, RegisterFlags{o});
    register_sharing(o, s.sharing);
    o.group("Course of the run");
    train::visit_course_settings(s, RegisterFlags{o});
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
  // The settings are those of the run, flags given win. Returns its folder.
  std::string take_up(const CommonOptions& common, std::optional<models::Checkpoint>& checkpoint) {
    if (options_->given("weights") || options_->given("cfg") || options_->given("hyp"))
      fail(ExitCode::kUsage, "resume",
           "--resume takes weights, cfg and hyp from the run; leave --weights, --cfg and --hyp out");
    if (settings_.sharing.given())
      fail(ExitCode::kUsage, "resume", "--resume keeps the run's sharing between heads; leave its flags out");
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
