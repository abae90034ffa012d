// The tables of `mtyolo info` about a network: rows, memory, work, implementations.
#pragma once

#include "cli/common.h"
#include "cli/output.h"
#include "models/model.h"

namespace mtyolo::cli {

// One cfg row of a network.
struct LayerFacts {
  int index = 0;
  std::vector<int> from;
  int repeats = 1;
  int64_t parameters = 0;
  std::string module, head;  // head: "" = shared
  Shape output;              // of one image; a head's predictions
};
std::vector<LayerFacts> layer_facts(const models::Graph& graph, int size);
std::string layers_text(const std::vector<LayerFacts>& layers);
Json layers_json(const std::vector<LayerFacts>& layers);

// 2 * multiply-adds of the convolutions for one image, in 10^9: un-fused and in deploy form.
struct WorkFacts {
  double built = 0, fused = 0;
  int64_t fused_parameters = 0;
};
WorkFacts work_facts(const models::Model& model, int size);

// Bytes that inference on one image takes.
struct MemoryFacts {
  size_t weights = 0, arena = 0, image = 0, predictions = 0;
  size_t without_sharing = 0;  // the arena if no two maps shared memory
  size_t peak() const { return weights + arena + image + predictions; }
};
MemoryFacts memory_facts(const models::Model& model, int size, const CommonOptions& common);
std::string memory_text(const MemoryFacts& memory, int size);
Json memory_json(const MemoryFacts& memory);

// What runs a convolution node, and why the implementations listed before or after it do not. On a device
// (--device): what runs each step of the plan.
struct ImplFacts {
  std::string node, what, input;
  std::string plan;     // kernels of the compiled plan (infer)
  std::string unfused;  // implementation of a node-by-node run
  std::string passed_over;
};
std::vector<ImplFacts> impl_facts(const models::Model& model, int size, const CommonOptions& common,
                                  const std::string& dtype);
std::string impls_text(const std::vector<ImplFacts>& impls);
Json impls_json(const std::vector<ImplFacts>& impls);

}  // namespace mtyolo::cli
