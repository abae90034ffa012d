// mtyolo demo: draws a data set, trains two heads on it, validates, infers and exports: the commands a user
// would type, one after the other, in at most some minutes and without any file or network.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>

#include "cli/bench_subject.h"
#include "cli/demo_data.h"
#include "cli/output.h"
#include "cli/run_folder.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/log.h"

namespace mtyolo::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxMetricsBytes = size_t(16) << 20;
constexpr int kBatch = 16;
// Part of the time left for training that steps may take: reading and drawing take the rest.
constexpr double kStepShare = 0.8;

class Demo : public Verb {
 public:
  void register_options(Options& o) override {
    o.integer("images", images_, 20, 100000, "training images to draw; a fifth more to validate on");
    o.image_size("img-size", size_, "side of the images and of the network input");
    o.integer("epochs", epochs_, 1, 10000,
              "passes over the training images, fewer where --seconds are short");
    o.real("seconds", seconds_, 1, 86400, "time for training");
    o.text("out", out_, "run folder (runs/demo/exp, exp2, ...)");
  }

  ExitCode run(const CommonOptions& common) override {
    common_ = common;
    choose_folder();
    std::optional<Mute> mute;
    if (common.json) mute.emplace();
    draw_data();
    fit_epochs();
    const fs::path best = folder_ / "weights" / "best.pt", val = folder_ / "val";
    const std::string size = std::to_string(size_), batch = std::to_string(kBatch),
                      epochs = std::to_string(epochs_);
    step("train two heads, sky and ground", {"train",        drawn_.data,
                                             "--cfg",        "demo",
                                             "--hyp",        drawn_.hyp,
                                             "--img-size",   size,
                                             "--epochs",     epochs,
                                             "--batch-size", batch,
                                             "--nbs",        batch,
                                             "--optimizer",  "adam",
                                             "--val-period", std::to_string(std::max(1, epochs_ / 5)),
                                             "--workers",    "2",
                                             "--project",    folder_.parent_path().string(),
                                             "--name",       folder_.filename().string(),
                                             "--exist-ok"});
    step("find objects in pictures it has not seen",
         {"infer", (folder_ / "data" / "images" / "val").string(), "--weights", best.string(), "--img-size",
          size, "--project", folder_.string(), "--name", "infer", "--exist-ok"});
    step("export for other engines", {"export", best.string(), "--format", "onnx", "--img-size", size,
                                      "--out", (folder_ / "model.onnx").string()});
    step("validate", {"val", drawn_.data, "--weights", best.string(), "--img-size", size, "--metric", "v7",
                      "--project", folder_.string(), "--name", "val", "--exist-ok"});
    mute.reset();
    if (common.json) print(read_file((val / "metrics.json").string(), kMaxMetricsBytes));
    else say_where();
    return ExitCode::kDone;
  }

 private:
  void choose_folder() {
    if (!out_.empty()) {
      folder_ = fs::path(out_).lexically_normal();
      if (!folder_.has_filename()) folder_ = folder_.parent_path();
      if (folder_.parent_path().empty()) folder_ = "." / folder_;
      make_folders(folder_.string());
    } else {
      folder_ = make_run_folder(common_);
    }
  }

  void draw_data() {
    log::info("drawing {} landscapes to learn from and {} to check with", images_, held_out());
    Context ctx = make_context(common_);
    drawn_ =
        write_demo_data(ctx, (folder_ / "data").string(), uint64_t(common_.seed), images_, held_out(), size_);
  }

  // As many epochs as this machine has time for, by timing some steps.
  void fit_epochs() {
    constexpr int kSteps = 4;
    Context ctx = make_context(common_);
    BenchParams params{"demo", "", size_, kBatch};
    const auto steps = bench_train(ctx, common_, params);
    steps->once();
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < kSteps; ++i) steps->once();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    const double per_epoch = took.count() / kSteps / kBatch * images_;
    const int fit = std::max(1, int(kStepShare * seconds_ / per_epoch));
    if (fit >= epochs_) return;
    log::info("{:.0f} images/s here: {} epochs instead of {}, to fit {:.0f} s", images_ / per_epoch, fit,
              epochs_, seconds_);
    epochs_ = fit;
  }

  int held_out() const { return images_ / 5; }

  // Runs another verb and says which command that was.
  void step(const std::string& what, std::vector<std::string> words) {
    std::string typed = "./mtyolo";
    for (const std::string& word : words) typed += " " + word;
    log::info("{}:\n  {}", what, typed);
    const std::string verb = words[0];
    words.erase(words.begin());
    for (const auto& [flag, value] : {std::pair("--threads", common_.threads), {"--seed", int(common_.seed)}})
      words.insert(words.end(), {flag, std::to_string(value)});
    if (common_.quiet) words.push_back("--quiet");
    const int code = run_verb(find_verb(verb), words);
    if (code != 0)
      throw Error(
          {ExitCode(code), "demo", fmt::format("{} ended with exit code {}", verb, code), {}, {}, {}});
  }

  void say_where() const {
    const std::string at = folder_.string();
    print(fmt::format(
        "\nLook at\n"
        "  {0}/report.html           the whole run on one page\n"
        "  {0}/infer/                pictures it had not seen, with what it found\n"
        "  {0}/results.png           how it learned\n"
        "  {0}/val/metrics.json      the numbers\n"
        "Try next\n"
        "  ./mtyolo infer YOUR_PHOTO.jpg --weights yolov7.pt        the author's weights on your picture\n"
        "  ./mtyolo data check YOUR_DATA.yaml                       is your data set sound?\n"
        "  ./mtyolo train YOUR_DATA.yaml --weights yolov7.pt        learn your classes from there\n"
        "  docs/two_heads.md                                        several tasks in one network\n",
        at));
  }

  CommonOptions common_;
  fs::path folder_;
  DemoData drawn_;
  std::string out_;
  int images_ = 600, size_ = 128, epochs_ = 24;
  double seconds_ = 85;
};

}  // namespace

std::unique_ptr<Verb> make_demo() { return std::make_unique<Demo>(); }

}  // namespace mtyolo::cli
