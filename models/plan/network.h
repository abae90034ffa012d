// The part of a compiled model that does not depend on the input size: the folded graph, which activations
// and sums end in a convolution's epilogue, and the packed weights. Immutable and shared by the plans of all
// shapes.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "models/plan/epilogues.h"
#include "models/plan/fold.h"
#include "models/plan/packed_weights.h"
#include "ops/blocked/strassen.h"
#include "ops/blocked/winograd.h"

namespace mtyolo::models {

// How the plan computes a convolution of such maps, unless told to use the direct form alone.
enum class ConvForm { kDirect, kWinograd, kStrassen };
ConvForm conv_form(const ops::Conv2d& params, int in_channels, int out_channels, ops::blocked::Element type);
// Whether the plan has the implementation of conv2d that --impl names (empty: none is named).
bool plan_has(const std::string& forced);

// A convolution with what follows it.
struct ConvStep {
  std::shared_ptr<const ops::blocked::PackedConv> direct;  // one of the three
  std::shared_ptr<const ops::blocked::WinogradConv> winograd;
  std::shared_ptr<const ops::blocked::StrassenConv> strassen;
  Epilogue epilogue;

  const ops::blocked::PackedTensors& packed() const {
    return winograd ? winograd->packed() : strassen ? strassen->packed() : direct->packed();
  }
};

// The image and what only rearranges it, by node; empty where anything but convolutions reads one, for other
// ops take maps of one type.
std::set<int> image_values(const Graph& graph);

class Network {
 public:
  // Folds and packs the weights on all threads. Convolutions that Winograd's or Strassen's form suits take
  // it, unless told not to. bf16: so are the maps, but the image and what only decoding reads, and the
  // weights, with their sums kept (round_keeping_sums). What reads the image or is in Winograd's form has f32
  // weights and products. With a place, packed weights are taken from a file there, or kept for later starts.
  static std::shared_ptr<const Network> build(Context& ctx, const Graph& graph, const StateDict& weights,
                                              bool allow_fast_forms = true,
                                              ops::blocked::Element type = ops::blocked::Element::kF32,
                                              const PackedPlace& place = {});

  ops::blocked::Element type() const { return type_; }
  bool is_image(int node) const { return image_.contains(node); }  // image_values
  const Graph& graph() const { return graph_; }
  int value_of(int node) const { return value_of_[size_t(node)]; }  // Epilogues::value_of
  const std::vector<int>& values() const { return value_of_; }
  const ConvStep& conv(int node) const { return convs_.at(node); }
  const Tensor& cross_stitch(int node) const { return cross_stitches_.at(node); }  // packed
  size_t weight_bytes() const;

 private:
  // What packing needs to know of a convolution.
  struct Packing {
    const ops::Conv2d& params;
    int in, out;
    ops::blocked::Element factors;
    ConvForm form;
  };
  Packing packing_of(int node, bool allow_fast_forms) const;
  void pack(Context& ctx, const FoldedGraph& folded, const StateDict& weights, bool allow_fast_forms,
            const FileInState& mapped);
  void adopt(const StateDict& packed, bool allow_fast_forms);
  StateDict packed() const;

  Graph graph_;
  ops::blocked::Element type_ = ops::blocked::Element::kF32;
  std::vector<int> value_of_;
  std::set<int> image_;
  std::map<int, ConvStep> convs_;  // by convolution node
  std::map<int, Tensor> cross_stitches_;
};

}  // namespace mtyolo::models
