// Pickled modules flattened into a state dict, exactly as PyTorch names and orders it (checkpoint.md section
// 5).
#pragma once

#include <string_view>

#include "models/weights/checkpoint.h"
#include "models/weights/pt_file.h"

namespace mtyolo::models {

// The value of a plain attribute of an object, if it has one.
std::optional<Ref> attribute(const PickleTree& tree, Ref record, std::string_view name);
std::string_view class_name(const PickleTree& tree, Ref record);  // "Conv"

// The object of class models.yolo.Model inside wrappers (DataParallel, DistributedDataParallel), or nothing.
std::optional<Ref> unwrap_model(const PickleTree& tree, Ref value);

// All parameters and buffers below a module. Throws Error{kModel, "model_object"} where something is not what
// a module has in that place.
StateDict flatten_module(PtFile& file, Ref module);

// Layers, head, strides, batch norm constants, names, cfg, hyp and `fused` of a Model object.
void read_model_facts(PtFile& file, Ref model, Checkpoint& checkpoint);

// Class names from a list, or from a dict that maps 0, 1, ... to names.
std::vector<std::string> names_from(const Document& document);

// checkpoint.md 7.5: without `module.` and surplus `model.` levels; bare "0.conv..." gains "model.".
StateDict without_wrapper_prefixes(const StateDict& tensors);

}  // namespace mtyolo::models
