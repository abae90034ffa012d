#include "train/checkpoint_store.h"

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "core/log.h"
#include "core/text.h"
#include "train/training_state.h"

namespace mtyolo::train {

namespace fs = std::filesystem;

// Holds at most one snapshot that is being written.
class CheckpointStore::Writer {
 public:
  explicit Writer(std::string folder) : folder_(std::move(folder)), thread_([this] { loop(); }) {}

  ~Writer() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void put(Snapshot snapshot) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !busy_; });
    waiting_ = std::move(snapshot);
    busy_ = true;
    changed_.notify_all();
  }

  std::vector<WrittenCheckpoint> take(bool wait) {
    std::unique_lock lock(mutex_);
    if (wait) changed_.wait(lock, [this] { return !busy_; });
    return std::exchange(written_, {});
  }

 private:
  void loop() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return stop_ || waiting_; });
      if (!waiting_) return;
      std::optional<Snapshot> snapshot = std::exchange(waiting_, std::nullopt);
      lock.unlock();
      WrittenCheckpoint result{folder_ + "/last.pt", {}};
      try {
        write(*snapshot);
      } catch (const std::exception& e) {
        result.error = e.what();
      }
      snapshot.reset();
      lock.lock();
      written_.push_back(std::move(result));
      busy_ = false;
      changed_.notify_all();
    }
  }

  void write(const Snapshot& snapshot) const {
    const std::string last = folder_ + "/last.pt", previous = folder_ + "/last_prev.pt";
    // Before last.pt: a run killed in between writes it again when it goes on.
    for (size_t i = 0; i < snapshot.best.size(); ++i) {
      const std::string name = folder_ + "/" + snapshot.best[i];
      if (i == 0) models::write_pt(name, stripped(snapshot.checkpoint));
      else link_file(folder_ + "/" + snapshot.best[0], name);
    }
    models::write_pt(last, snapshot.checkpoint, [&] {
      if (fs::exists(last)) link_file(last, previous);
    });
    for (const std::string& name : snapshot.also) link_file(last, folder_ + "/" + name);
  }

  std::string folder_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Snapshot> waiting_;
  std::vector<WrittenCheckpoint> written_;
  bool busy_ = false, stop_ = false;
  std::thread thread_;
};

namespace {

std::string made(const std::string& folder) {
  make_folders(folder);
  return folder;
}

}  // namespace

CheckpointStore::CheckpointStore(const std::string& run, double wait_for_lock_seconds)
    : folder_(made(run + "/weights")), lock_(run + "/.lock", wait_for_lock_seconds) {
  remove_stale_temporaries(folder_);
  remove_stale_temporaries(run);
  writer_ = std::make_unique<Writer>(folder_);
}

CheckpointStore::~CheckpointStore() = default;

void CheckpointStore::write_last(Snapshot snapshot) { writer_->put(std::move(snapshot)); }

std::vector<WrittenCheckpoint> CheckpointStore::take_results(bool wait) { return writer_->take(wait); }

namespace {

std::optional<models::Checkpoint> read_or_warn(const std::string& path) {
  try {
    models::Checkpoint c = models::read_checkpoint(path);
    state_from(c);
    return c;
  } catch (const Error& e) {
    log::warning("{} is passed over: {}", path, e.what());
    return std::nullopt;
  }
}

// epoch_NNN.pt by falling number.
std::vector<std::string> epoch_files(const std::string& folder) {
  std::vector<std::pair<int64_t, std::string>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string stem = entry.path().stem().string();
    if (!stem.starts_with("epoch_") || entry.path().extension() != ".pt") continue;
    if (const auto n = parse_int(std::string_view(stem).substr(6))) found.emplace_back(-*n, entry.path());
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> paths;
  for (auto& [n, path] : found) paths.push_back(std::move(path));
  return paths;
}

std::optional<models::Checkpoint> newest_valid(const std::string& folder) {
  if (fs::exists(folder + "/last.pt"))
    if (auto c = read_or_warn(folder + "/last.pt")) return c;
  std::optional<models::Checkpoint> best;
  if (fs::exists(folder + "/last_prev.pt")) best = read_or_warn(folder + "/last_prev.pt");
  for (const std::string& path : epoch_files(folder)) {
    auto c = read_or_warn(path);
    if (!c) continue;
    if (!best || state_from(*c).iteration > state_from(*best).iteration) best = std::move(c);
    break;
  }
  return best;
}

}  // namespace

std::string run_folder_of(const std::string& path) {
  if (fs::is_directory(path)) return path;
  const fs::path folder = fs::path(path).parent_path();
  if (!fs::exists(path) || folder.filename() != "weights")
    throw Error({ExitCode::kData,
                 "resume",
                 fs::exists(path) ? "lies in no folder weights/ of a run" : "no such run or checkpoint",
                 path,
                 {},
                 "give a run folder, or a checkpoint in its weights/"});
  const fs::path run = folder.parent_path();
  return run.empty() ? "." : run.string();
}

models::Checkpoint find_checkpoint(const std::string& path) {
  if (!fs::is_directory(path)) {
    models::Checkpoint c = models::read_checkpoint(path);
    state_from(c);
    return c;
  }
  if (auto c = newest_valid(path + "/weights")) return std::move(*c);
  throw Error({ExitCode::kModel,
               "resume",
               "none of the run's checkpoints can be used",
               path,
               {},
               "start again with --weights, or without"});
}

std::string newest_run(const std::string& project) {
  std::string newest;
  fs::file_time_type when{};
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(project, error)) {
    for (const char* name : {"last.pt", "last_prev.pt"}) {
      const fs::path file = entry.path() / "weights" / name;
      std::error_code missing;
      const auto time = fs::last_write_time(file, missing);
      if (missing || (!newest.empty() && time <= when)) continue;
      newest = entry.path().string();
      when = time;
    }
  }
  if (newest.empty())
    throw Error({ExitCode::kData,
                 "resume",
                 "no run with a checkpoint lies here",
                 project,
                 {},
                 "name the run: --resume RUN"});
  return newest;
}

models::Checkpoint stripped(const models::Checkpoint& checkpoint) {
  models::Checkpoint c = checkpoint;
  c.model = {};
  for (const auto& [name, tensor] : checkpoint.inference_weights().entries()) {
    const bool anchors = name.ends_with(".anchors") || name.ends_with(".anchor_grid");
    c.model.add(name, is_floating(tensor.dtype()) && !anchors ? tensor.to(DType::kF16) : tensor);
  }
  c.ema = {};
  c.optimizer = {};
  c.optimizer_groups = {};
  c.rng = {};
  return c;
}

}  // namespace mtyolo::train
