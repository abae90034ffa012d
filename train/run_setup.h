// What a run is made of before its first step: data sets, classes and heads, the network with the weights it
// starts from (train.md section 3, checkpoint.md 7.2).
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "models/model.h"
#include "train/hyp.h"
#include "train/settings.h"

namespace mtyolo::train {

struct RunSetup {
  Settings settings;  // img_size already a multiple of the stride
  Hyp hyp;
  data::DataCfg data;                    // heads are those of the network; empty = one head
  std::vector<std::string> label_names;  // what class ids in label files mean; with single_cls not data.names
  std::unique_ptr<data::Dataset> train_set, val_set;
  std::string fingerprint;  // of the training set
  models::Model model;
  std::string anchor_message;      // what autoanchor found, empty if it did not run
  std::set<std::string> frozen;    // names of parameters
  std::vector<std::string> notes;  // lines of the plan: "Transferred 5/9 tensors", ...
  int stride = 32;                 // sides of inputs are multiples of it
  bool resumed = false;
};

// Reads and checks everything the settings name. With `resume` the network, hyper-parameters and heads are
// those of the checkpoint. Throws Error: kUsage for settings that do not go together, kData, kModel.
RunSetup prepare_run(Context& ctx, const Settings& settings, const models::Checkpoint* resume);

// A hash over the paths (below their common folder), sizes and labels of a set.
std::string set_fingerprint(const data::Dataset& dataset);

// The parameters that `--freeze` names: `trunk` (all that belong to no head), head names, rows "7" or "0-50";
// one number n alone means rows 0..n-1, as in yolov7. Throws Error{kUsage} for anything else.
std::set<std::string> frozen_parameters(const models::Graph& graph, const std::vector<std::string>& words);

// Of several heads, those whose own parameters are all frozen.
struct FrozenHeads {
  std::vector<std::string> still;  // everything they depend on is frozen too: their outputs cannot change
  std::vector<std::pair<std::string, std::string>> moving;  // the others, each with a parameter that trains
};
FrozenHeads frozen_heads(const models::Graph& graph, const std::set<std::string>& frozen);

// The data.yaml of the run folder: absolute paths, names, heads. read_data_cfg takes it back.
Document data_document(const data::DataCfg& data);

// Bytes that a run will take at its settings' size and batch: values kept for the backward pass, weights with
// gradient, moment, average and the copy being saved. Its constants were measured on yolov7-tiny.
uint64_t estimate_memory(const models::Graph& graph, const Settings& settings);

// Parts of prepare_run.
models::Model starting_model(const Settings& settings, data::DataCfg& data, std::vector<std::string>& notes);
models::Model resumed_model(const models::Checkpoint& checkpoint);

}  // namespace mtyolo::train
