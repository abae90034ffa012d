// The weights/ folder of a run: last.pt with its predecessor, epoch_NNN.pt, init.pt, best.pt (reliability.md
// section 9). One thread writes while training goes on.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/file.h"
#include "models/weights/checkpoint.h"

namespace mtyolo::train {

// What to write, all of it immutable from now on: tensors must not be views of what training moves.
struct Snapshot {
  models::Checkpoint checkpoint;
  std::vector<std::string> also;       // further names below weights/ for the same file, without copying
  std::vector<std::string> best = {};  // names for the stripped form: best.pt, best_a.pt
};

struct WrittenCheckpoint {
  std::string path, error;  // error empty: it is there
};

class CheckpointStore {
 public:
  // Makes RUN/weights, takes the lock RUN/.lock and removes what dead processes left. Throws Error{"locked"}
  // when another trainer works in the folder.
  explicit CheckpointStore(const std::string& run, double wait_for_lock_seconds = 5);
  ~CheckpointStore();  // waits for the write under way
  CheckpointStore(const CheckpointStore&) = delete;
  CheckpointStore& operator=(const CheckpointStore&) = delete;

  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  // Replaces last.pt, whose predecessor becomes last_prev.pt. Returns once the write before has ended; a
  // failed write leaves the old files and is reported by the next call of take_result().
  void write_last(Snapshot snapshot);
  // Waits, then the outcome of the writes since the last call.
  std::vector<WrittenCheckpoint> take_results(bool wait);

 private:
  class Writer;
  std::string folder_;
  FileLock lock_;
  std::unique_ptr<Writer> writer_;
};

// The checkpoint to go on from, given a run folder or a file in its weights/: last.pt, else the newest of
// last_prev.pt and epoch_*.pt that passes all checks; every one that is passed over gets a warning with the
// reason. A file that is named is taken or refused. Throws Error{kModel} when none is left.
models::Checkpoint find_checkpoint(const std::string& run_or_file);

// The run folder of `--resume PATH`: the folder itself, or that of a checkpoint RUN/weights/x.pt.
std::string run_folder_of(const std::string& run_or_file);
// The folder below `project` whose weights/last.pt is newest; throws Error{kData} when there is none.
std::string newest_run(const std::string& project);

// best.pt: averages only, in half precision but for the anchors; no optimizer and no state of the run.
models::Checkpoint stripped(const models::Checkpoint& checkpoint);

}  // namespace mtyolo::train
