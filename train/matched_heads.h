// What the heads of a network take over from a file that has several: heads are matched by name and by the
// names of their classes, so that a head can join others that keep what they know.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "data/data_cfg.h"
#include "models/graph.h"
#include "models/weights/checkpoint.h"

namespace mtyolo::train {

struct HeadSource {
  std::string from;          // head of the file; empty: initial values
  std::vector<int> columns;  // of each class column of the head, the file's class column
};

// By the name of the data's head. Empty when file or data have no heads, or when they have none in common and
// not the same classes either: then only shared rows can be taken over. A head of the data takes the file's
// head of the same name, else one with the same class names. Throws Error{kUsage, "heads"} naming both sides
// when a name stands for other classes, or when a head of the file is not among the data's.
std::map<std::string, HeadSource> match_heads(const models::Checkpoint& checkpoint,
                                              const data::DataCfg& data);

// What the file's head `from` is called here; itself when no head takes it.
std::string name_here(const std::string& from, const std::map<std::string, HeadSource>& sources);

// The file's tensors under the names that its heads have here, class columns in this network's order.
models::StateDict renamed_tensors(const models::StateDict& weights, const models::Graph& graph,
                                  const std::map<std::string, HeadSource>& sources);

// A line for each head.
std::vector<std::string> head_notes(const data::DataCfg& data,
                                    const std::map<std::string, HeadSource>& sources);

}  // namespace mtyolo::train
