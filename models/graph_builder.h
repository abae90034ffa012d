// Makes the nodes of a graph one by one: checks channels, names parameters as PyTorch does and keeps them in
// the order of the state dict (graph.md section 5). Modules use it through ModuleCall (models/module.h).
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "models/cfg.h"
#include "models/graph.h"

namespace mtyolo::models {

// Limits on hostile cfgs (reliability.md Y7), checked before anything is allocated.
inline constexpr int kMaxChannels = 65'536, kMaxConcatChannels = 1 << 20, kMaxKernel = 255, kMaxStride = 64;
inline constexpr int kMaxOutputs = 1 << 24;  // of one convolution; the head's are anchors * (classes + 5)
inline constexpr size_t kMaxNodes = 200'000, kMaxCouplings = 1'000'000, kMaxStitchedHeads = 64;
inline constexpr int64_t kMaxParameters = int64_t{1} << 31;  // 8 GiB of f32

// The classes of one head, as global ids in the order of its columns.
struct HeadGroup {
  std::string name;
  std::vector<int> classes;
  bool operator==(const HeadGroup&) const = default;
};

struct BuildOptions {
  // Whether the weights at hand hold a tensor of this name; tells fused layers and deploy-form RepConvs from
  // the training form. Empty: the training form.
  std::function<bool(const std::string&)> has_tensor;
  bool fused = false;  // implicit terms are already in the weights (Checkpoint::fused)
  double bn_eps = 1e-3;
  std::vector<HeadGroup> heads;    // empty: one head "all" with every class
  std::vector<std::string> names;  // class names; empty: "0", "1", ... (graph.md 2.1)
};

// The tensors of a model after graph.md section 4, as a predicate for BuildOptions::has_tensor.
bool fused_form_has_tensor(const std::string& name);

// The whole network of a cfg. Throws Error{kUsage, "config"} that names the row and line.
Graph build_graph(const Cfg& cfg, const BuildOptions& options = {});

class GraphBuilder {
 public:
  GraphBuilder(const Cfg& cfg, const BuildOptions& options) : cfg_(cfg), options_(options) {}

  // The row whose nodes follow.
  void begin_row(const CfgRow& row) { row_ = &row; }
  const Cfg& cfg() const { return cfg_; }
  const BuildOptions& options() const { return options_; }
  Graph& graph() { return graph_; }
  int channels(int node) const { return graph_.nodes[size_t(node)].channels; }
  [[noreturn]] void fail_row(const std::string& message, const std::string& suggestion = {}) const;

  // Nodes; each returns the id of its value. `scope` is the module's name, "model.24.conv".
  int input();
  int conv2d(const std::string& scope, int x, int c2, const ops::Conv2d& p, bool bias);
  int batch_norm(const std::string& scope, int x);
  int activation(const std::string& scope, int x, const ops::Activation& p);
  int max_pool(const std::string& scope, int x, int k, int stride, int pad);
  int upsample(const std::string& scope, int x, int scale);
  int space_to_depth(const std::string& scope, int x);
  int concat(const std::string& scope, const std::vector<int>& inputs);
  int add(const std::string& scope, int a, int b);
  int implicit(const std::string& scope, int x, ops::ImplicitKind kind);
  // The value of head `own` out of those of all heads; its weight begins as the identity (models/init.h).
  int cross_stitch(const std::string& scope, const std::vector<int>& inputs, int own);
  int detect_decode(const std::string& scope, int raw, const ops::DetectDecode& p);

  // Registers tensors without a node: for modules that register a child before they use it. A name may be
  // declared again with the same shape.
  void declare(const std::string& name, const Shape& shape, ParamInfo::Kind kind);
  void declare_conv2d(const std::string& scope, int c1, int c2, const ops::Conv2d& p, bool bias);
  void declare_batch_norm(const std::string& scope, int channels);
  const ParamInfo* find_param(const std::string& name) const;

  bool has_tensor(const std::string& name) const { return options_.has_tensor && options_.has_tensor(name); }
  // Whether the convolution block `scope` comes with its batch norm folded: a bias and no bn.
  bool is_fused(const std::string& scope);
  // Whether implicit terms are folded: said by the file, or the blocks before the head are fused, since
  // YOLOv7 folds both in one go (graph.md 4).
  bool implicit_is_folded() const { return options_.fused || any_fused_; }

 private:
  int add_node(const std::string& scope, OpAttrs attrs, std::vector<int> inputs, int channels,
               std::vector<std::string> params = {});

  const Cfg& cfg_;
  const BuildOptions& options_;
  Graph graph_;
  const CfgRow* row_ = nullptr;
  std::unordered_map<std::string, size_t> declared_;
  int64_t elements_ = 0;
  bool any_fused_ = false;
};

}  // namespace mtyolo::models
