#include "cli/bench_multitask.h"

#include <filesystem>
#include <map>

#include "cli/bench_report.h"
#include "cli/bench_subject.h"
#include "cli/build_info.h"
#include "cli/child.h"
#include "cli/demo_data.h"
#include "cli/machine.h"
#include "cli/multitask_table.h"
#include "cli/output.h"
#include "cli/process_stats.h"
#include "cli/run_folder.h"
#include "cli/signals.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "data/data_cfg.h"

namespace mtyolo::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kSceneImages = 300, kSceneHeldOut = 100, kBatch = 4;

// Rows of the cfg `demo`: 0-1 the stem, 2-28 the backbone, 29-76 the neck, 77 the detection row.
struct Sharing {
  const char* name;
  std::vector<std::string> flags;
};
const std::vector<Sharing>& sharings() {
  static const std::vector<Sharing> all{
      {"two networks", {"--sharing", "none"}},
      {"hard, all but the detection row", {"--sharing", "hard"}},
      {"hard, backbone", {"--sharing", "hard", "--share-until", "28"}},
      {"hard, stem", {"--sharing", "hard", "--share-until", "1"}},
      {"soft, L2 tie of all rows", {"--sharing", "soft", "--couple", "0-76", "--couple-strength", "1e-4"}},
      {"soft, cross-stitch after rows 7, 14, 21, 28", {"--sharing", "soft", "--cross-stitch", "7,14,21,28"}},
  };
  return all;
}

struct DataSet {
  MultitaskSet set;
  std::string file;
};

// The largest of the JSON lines of `train`.
double train_memory(const std::string& lines) {
  double most = 0;
  for (const std::string_view line : split(lines, '\n')) {
    const Json event = Json::parse(line, nullptr, false);
    if (event.is_object() && event.value("kind", "") == "epoch")
      most = std::max(most, event.value("gpu_mem_gb", 0.0) * 1024);
  }
  return most;
}

class Multitask {
 public:
  Multitask(const CommonOptions& common, const MultitaskParams& params)
      : common_(common), params_(params), folder_(make_run_folder(common)) {}

  void run() {
    collect_sets();
    for (const DataSet& data : sets_)
      for (int seed = 1; seed <= params_.seeds; ++seed)
        for (const Sharing& sharing : sharings()) {
          if (interrupted()) return;
          runs_.push_back(train_and_validate(data, sharing, seed));
        }
    time_networks();
  }

  std::string markdown() const {
    std::vector<MultitaskSet> sets;
    for (const DataSet& data : sets_) sets.push_back(data.set);
    return fmt::format(
        "mtyolo {}, {}, {}, {} thread{}; `{}`; {} epochs of batch {}, {} px, {} seeds: mean (lowest "
        "to highest)\n\n{}",
        kVersion, utc_now(), inspect_machine().cpu_model, threads(), threads() == 1 ? "" : "s", command(),
        params_.epochs, kBatch, params_.size, params_.seeds, multitask_markdown(sets, runs_));
  }

  Json document() const {
    Json d = json_document("bench");
    const MachineInfo machine = inspect_machine();
    d["context"] = {{"date", utc_now()},
                    {"executable", fmt::format("mtyolo {}", kVersion)},
                    {"command", command()},
                    {"num_cpus", machine.cores_usable},
                    {"cpu_model", machine.cpu_model},
                    {"threads", threads()},
                    {"epochs", params_.epochs},
                    {"img_size", params_.size}};
    for (const MultitaskRun& r : runs_) {
      Json heads;
      for (const DataSet& data : sets_)
        for (size_t h = 0; data.set.name == r.set && h < data.set.heads.size(); ++h)
          heads[data.set.heads[h]] = {{"mAP50", r.map50[h]}, {"mAP50_95", r.map50_95[h]}};
      d["benchmarks"].push_back({{"name", fmt::format("multitask/{}/{}/{}", r.set, r.sharing, r.seed)},
                                 {"real_time", r.ms_per_image},
                                 {"time_unit", "ms"},
                                 {"parameters", r.parameters},
                                 {"infer_mib", r.infer_mib},
                                 {"train_mib", r.train_mib},
                                 {"train_cpu_s", r.train_cpu_seconds},
                                 {"heads", heads}});
    }
    return d;
  }

 private:
  int threads() const { return make_context(common_).pool().size(); }

  std::string command() const {
    std::string text = "mtyolo bench multitask";
    for (const std::string& file : params_.data) text += " " + fs::path(file).filename().string();
    text += fmt::format(" --epochs {} --img-size {} --seeds {}", params_.epochs, params_.size, params_.seeds);
    return common_.threads == 0 ? text : text + fmt::format(" --threads {}", common_.threads);
  }

  void add_set(const std::string& name, const std::string& file) {
    const data::DataCfg cfg = data::read_data_cfg(file, data::DataCfgUse::kPaths);
    if (cfg.heads.size() < 2)
      throw Error({ExitCode::kUsage,
                   "heads",
                   fmt::format("has {} heads, expected two or more", cfg.heads.size()),
                   file,
                   {},
                   "split its classes, as heads: {a: {classes: 0-9}, b: {classes: 10-79}}"});
    DataSet data{{name, {}}, fs::absolute(file).string()};
    for (const data::HeadCfg& head : cfg.heads) data.set.heads.push_back(head.name);
    sets_.push_back(std::move(data));
  }

  void collect_sets() {
    for (const std::string& file : params_.data) add_set(fs::path(file).stem().string(), file);
    Context ctx = make_context(common_);
    const DemoData scenes = write_demo_data(ctx, folder_ + "/scenes", uint64_t(common_.seed), kSceneImages,
                                            kSceneHeldOut, params_.size);
    hyp_ = scenes.hyp;
    add_set("scenes", scenes.data);
  }

  std::vector<std::string> with_common(std::vector<std::string> words, int seed) const {
    words.insert(words.end(),
                 {"--img-size", std::to_string(params_.size), "--threads", std::to_string(common_.threads),
                  "--seed", std::to_string(seed), "--quiet", "--json"});
    return words;
  }

  MultitaskRun train_and_validate(const DataSet& data, const Sharing& sharing, int seed) const {
    MultitaskRun run;
    run.set = data.set.name;
    run.sharing = sharing.name;
    run.seed = seed;
    const std::string name = run_name(data.set.name, sharing.name, seed);
    std::vector<std::string> words{"train",        data.file,
                                   "--cfg",        "demo",
                                   "--hyp",        hyp_,
                                   "--epochs",     std::to_string(params_.epochs),
                                   "--batch-size", std::to_string(kBatch),
                                   "--nbs",        std::to_string(kBatch),
                                   "--optimizer",  "adam",
                                   "--noval",      "--noplots",
                                   "--cache",      "ram",
                                   "--workers",    "2",
                                   "--project",    folder_,
                                   "--name",       name,
                                   "--exist-ok"};
    words.insert(words.end(), sharing.flags.begin(), sharing.flags.end());
    const ChildResult trained = run_child(with_common(words, seed));
    run.train_cpu_seconds = trained.cpu_seconds;
    run.train_mib = train_memory(trained.out);
    const std::string weights = folder_ + "/" + name + "/weights/last.pt";
    read_quality(data, weights, name, seed, run);
    run.parameters = json_of({"info", weights}, seed)["parameters"];
    log::info("{}, {}, seed {}: {:.0f} CPU s, mAP@.5 {:.3f}", run.set, run.sharing, seed,
              run.train_cpu_seconds, fmt::join(run.map50, " "));
    return run;
  }

  void read_quality(const DataSet& data, const std::string& weights, const std::string& name, int seed,
                    MultitaskRun& run) const {
    const Json metrics = json_of({"val", data.file, "--weights", weights, "--metric", "v7", "--iou-thres",
                                  "0.6", "--project", folder_ + "/" + name, "--name", "val", "--exist-ok"},
                                 seed);
    for (const std::string& head : data.set.heads) {
      run.map50.push_back(metrics["heads"][head]["mAP50"]);
      run.map50_95.push_back(metrics["heads"][head]["mAP50_95"]);
    }
  }

  std::string run_name(const std::string& set, const std::string& sharing, int seed) const {
    const auto at = std::find_if(sharings().begin(), sharings().end(),
                                 [&](const Sharing& s) { return s.name == sharing; });
    return fmt::format("{}-{}-{}", set, at - sharings().begin(), seed);
  }

  // The networks of one seed in turn, several rounds: a slow minute of the machine slows all of them. The
  // time does not depend on the seed.
  void time_networks() {
    constexpr int kRounds = 5;
    std::map<std::string, std::vector<double>> times;
    std::map<std::string, double> memory;
    for (int round = 0; round < kRounds; ++round)
      for (const MultitaskRun& run : runs_) {
        if (run.seed != 1 || interrupted()) continue;
        const std::string name = run_name(run.set, run.sharing, 1);
        const Json timed =
            json_of({"bench", "model", folder_ + "/" + name + "/weights/last.pt", "--reps", "10"}, 1);
        times[name].push_back(timed["benchmarks"][0]["real_time"]);
        memory[name] = timed["rss_mib"];
      }
    for (MultitaskRun& run : runs_) {
      const std::string name = run_name(run.set, run.sharing, 1);
      run.ms_per_image = median(times[name]);
      run.infer_mib = memory[name];
    }
  }

  Json json_of(const std::vector<std::string>& words, int seed) const {
    return Json::parse(run_child(with_common(words, seed)).out);
  }

  const CommonOptions& common_;
  const MultitaskParams& params_;
  std::string folder_, hyp_;
  std::vector<DataSet> sets_;
  std::vector<MultitaskRun> runs_;
};

}  // namespace

ExitCode bench_multitask(const CommonOptions& common, const MultitaskParams& params) {
  const MarkedPage page(params.write, "multitask");
  Multitask bench(common, params);
  bench.run();
  if (interrupted()) return ExitCode::kDone;
  const Json d = bench.document();
  if (!params.out.empty()) write_file_atomically(params.out, d.dump(1) + "\n");
  page.write(bench.markdown());
  if (common.json) print_json(d);
  else print(bench.markdown());
  return ExitCode::kDone;
}

}  // namespace mtyolo::cli
