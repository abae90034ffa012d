// What a weight file holds, whatever its container. Reading interprets and never executes (checkpoint.md,
// reliability.md sections 3 and 4).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/cache_folder.h"
#include "core/document.h"
#include "core/tensor.h"

namespace mtyolo::models {

// Tensors by name, in file order.
class StateDict {
 public:
  void add(std::string name, Tensor tensor);  // throws Error on a repeated name
  const Tensor* find(const std::string& name) const;
  bool contains(const std::string& name) const { return find(name) != nullptr; }
  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  const std::vector<std::pair<std::string, Tensor>>& entries() const { return entries_; }

 private:
  std::vector<std::pair<std::string, Tensor>> entries_;
  std::unordered_map<std::string, size_t> index_;
};

// One row of a pickled model, as `info` lists it.
struct LayerRecord {
  int index = 0;
  std::vector<int> from;
  std::string type;  // "Conv", without the module path
  int64_t parameters = 0;
  std::string activation;  // class of its `act` ("SiLU", "LeakyReLU"), empty if it has none
};

struct Checkpoint {
  std::string file;
  FileInState mapped;               // that tensors may view; its state is empty where it is not asked for
  std::string container;            // "zip", "legacy", "safetensors"
  StateDict model;                  // names as in PyTorch: "model.0.conv.weight"; wrappers' prefixes removed
  StateDict ema;                    // averaged weights, empty if the file has none
  StateDict optimizer;              // names begin with "optimizer."
  Document cfg;                     // the model description (yolov7's `yaml` dict), null if the file has none
  Document hyp;                     // null if none
  Document heads;                   // ours: {a: {classes: [..]}, ...}; null = one head
  std::vector<std::string> names;   // class names, empty if the file has none
  std::string head_type;            // "IDetect", empty if unknown
  std::vector<float> strides;       // of the pickled model, empty if unknown
  std::vector<LayerRecord> layers;  // empty unless a pickled model
  std::vector<std::string> foreign;  // classes met that are not interpreted
  double bn_eps = 1e-3, bn_momentum = 0.03;
  bool fused = false;  // a pickled model that was fused: implicit terms are already in the weights
  int64_t epoch = -1, updates = 0;
  double best_fitness = 0;
  std::string training_results;    // yolov7's results.txt, empty if none
  Document optimizer_groups;       // list of maps: lr, momentum, ...; null if none
  Document results, anchors, rng;  // ours: free-form, kept as given; null if none
  std::vector<std::string> top_level_keys;

  // The averaged weights if present, else the plain ones (checkpoint.md 7.1).
  const StateDict& inference_weights() const { return ema.empty() ? model : ema; }
};

// Any supported container, told by content. Throws Error{kModel} that names the file and what is wrong. A
// large file whose sums were right once is not summed again while the folder knows its state.
Checkpoint read_checkpoint(const std::string& path, const CacheFolder& cache = {});
// The same from memory that `keeper` keeps alive (null: the caller does); errors name no file.
Checkpoint parse_checkpoint(std::span<const std::byte> bytes, const std::shared_ptr<const void>& keeper);

// Our .pt (conventions.md section 5): a torch zip of plain dicts, lists, strings, numbers and tensors, which
// opens with torch.load(weights_only=True); written atomically.
// `before_rename` runs when all bytes are on the disk and the file is about to get its name.
void write_pt(const std::string& path, const Checkpoint& checkpoint,
              const std::function<void()>& before_rename = {});
// The tensors alone, as the plain dict {name: tensor} that PyTorch's `load_state_dict(torch.load(path))`
// takes.
void write_state_dict(const std::string& path, const StateDict& tensors);
// The inference weights, with cfg, names and heads as JSON text in the metadata.
void write_safetensors(const std::string& path, const Checkpoint& checkpoint);

}  // namespace mtyolo::models
