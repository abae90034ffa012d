// Whether a model and a data.yaml mean the same classes and heads (conventions.md section 4).
#pragma once

#include "data/data_cfg.h"
#include "models/graph.h"

namespace mtyolo::cli {

// The heads of the model, as they are for rows of tables.
std::vector<data::HeadCfg> heads_of(const models::Graph& graph);

// Throws Error{kUsage} that names both sides when the number of classes or the heads differ. Names alone that
// differ are warned of: weights without names are given to data with names.
void check_same_classes(const models::Graph& graph, const data::DataCfg& data, const std::string& weights);

}  // namespace mtyolo::cli
