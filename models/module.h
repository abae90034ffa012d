// What a YOLOv7 module is: a function that expands one use of it into nodes. The table
// (models/module_table.cpp) says how its channels and arguments follow from the cfg row (graph.md 1.1).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "models/graph_builder.h"

namespace mtyolo::models {

// One use of a module. Argument numbers count from the row's first argument, which is c2 for channelled
// modules.
struct ModuleCall {
  GraphBuilder& builder;
  const CfgRow& row;
  std::string scope;        // "model.24", "model.4.0", "heads.a.model.105"
  std::vector<int> inputs;  // node ids
  int c2 = 0;               // channelled modules: output channels after width_multiple
  int repeats = 1;          // counted modules: n after depth_multiple

  int x() const { return inputs[0]; }
  int c1() const { return builder.channels(inputs[0]); }
  std::string child(const std::string& name) const { return scope + "." + name; }

  // Typed arguments; missing ones, and None, give the default. Throw Error that names the row.
  int whole(size_t index, const char* what, int missing, int low, int high) const;
  bool flag(size_t index, const char* what, bool missing) const;
  double real(size_t index, const char* what, double missing, double low, double high) const;
  std::vector<int> wholes(size_t index, const char* what, std::vector<int> missing, int low, int high) const;
  // True or missing: SiLU; nn.LeakyReLU(0.1) and the like: that; anything else: identity (graph.md 3.1).
  ops::Activation act(size_t index) const;
  void expect_arguments(size_t at_most) const;
};

enum class ModuleKind {
  kPlain,       // channels follow from the inputs
  kChannelled,  // the first argument is c2
  kCounted,     // channelled, and the number field is an argument instead of a repetition
  kMulti,       // reads a list of rows
  kHead,        // Detect and its relatives, the last row (models/modules/detect.cpp)
};

struct ModuleEntry {
  std::string name;
  ModuleKind kind;
  int (*expand)(const ModuleCall&);  // returns the node of its value; null for heads
};

// Throws Error that names the nearest module and lists all, through builder.fail_row.
const ModuleEntry& find_module(const GraphBuilder& builder, const std::string& name);

// Expansions of models/modules; each is described in graph.md section 3.
int expand_conv(const ModuleCall&);
int expand_dw_conv(const ModuleCall&);
int expand_focus(const ModuleCall&);
int expand_stem(const ModuleCall&);
int expand_rep_conv(const ModuleCall&);
int expand_mp(const ModuleCall&);
int expand_sp(const ModuleCall&);
int expand_spp(const ModuleCall&);
int expand_sppf(const ModuleCall&);
int expand_sppcspc(const ModuleCall&);
int expand_down_c(const ModuleCall&);
int expand_reorg(const ModuleCall&);
int expand_upsample(const ModuleCall&);
int expand_concat(const ModuleCall&);
int expand_shortcut(const ModuleCall&);
int expand_bottleneck(const ModuleCall&);
int expand_res(const ModuleCall&);
int expand_res_x(const ModuleCall&);
int expand_csp(const ModuleCall&);  // all of {Bottleneck,Res,ResX}CSP{A,B,C}

// The pieces that several modules are made of.
struct ConvBlock {
  int k = 1, s = 1, groups = 1;
  ops::Activation act{ops::ActivationKind::kSilu};
};
// Conv of graph.md 3.1 with padding k/2: convolution, batch norm (unless folded), activation.
int conv_block(GraphBuilder& builder, const std::string& scope, int x, int c2, const ConvBlock& p = {});
int conv_block(GraphBuilder& builder, const std::string& scope, int x, int c2, const ops::Conv2d& conv,
               const ops::Activation& act);
void declare_conv_block(GraphBuilder& builder, const std::string& scope, int c1, int c2,
                        const ConvBlock& p = {});

// The head row for one head: raw maps now; decode_heads adds the predictions once the strides are known.
Head expand_detect(const ModuleCall& call, const HeadGroup& group);

}  // namespace mtyolo::models
