// A folded network on a device: what depends on neither the size nor the number of images. Weights are packed
// for one math type (ops/device/conv.h) and uploaded once; shared by the plans of all shapes.
#pragma once

#include <map>
#include <memory>

#include "core/context.h"
#include "models/plan/concat_places.h"
#include "models/plan/epilogues.h"
#include "models/plan/fold.h"
#include "models/weights/checkpoint.h"
#include "ops/device/kernels.h"

namespace mtyolo::models {

// Throws Error{"not_compilable"} when kernels know no such activation.
KernelActivation kernel_activation(const GraphNode& node, const ops::Activation& activation);

// One product: a convolution, or siblings. Siblings are 1x1 convolutions of one value whose results lie side
// by side in one concat: stacked weights make one product of them.
struct DeviceConv {
  std::vector<int> nodes;  // convolutions in the order of their output channels
  KernelActivation activation = KernelActivation::kNone;
  std::optional<int> residual;   // node id
  int64_t weight = 0, bias = 0;  // bytes from the beginning of the weights
  int weight_stride = 0;         // elements
  int in_channels = 0;           // the convolution reads, padding included
  // Where a second copy of the result goes: a concat that wants it beside another one, from this channel on,
  // or an upsampling by two. -1: nowhere.
  int second = -1, second_channel = 0;
};

class DeviceNetwork {
 public:
  // Throws Error{"not_compilable"} that names the row when the device has no kernel for it.
  DeviceNetwork(Context& ctx, DeviceBackend backend, const Graph& graph, const StateDict& weights,
                KernelMath math);

  const Graph& graph() const { return graph_; }
  const DeviceBackend& backend() const { return backend_; }
  KernelMath math() const { return math_; }
  int value_of(int node) const { return value_of_[size_t(node)]; }
  const ConcatPlaces& places() const { return *places_; }
  // Channels as stored: a multiple of 16 bytes; the image has 4.
  int stored_channels(int value) const;
  // The product that begins at this node; null for a sibling that another one computes.
  const DeviceConv* conv(int node) const;
  bool made_by_second(int node) const;  // an upsampling that its convolution writes
  // Whether the second copy of a convolution fills this input of a concat.
  bool copied_by_second(int concat, int input) const;
  const void* weights(int64_t offset) const { return static_cast<const char*>(weights_->data()) + offset; }
  const float* cross_stitch(int node) const { return constants<float>(stitches_.at(node)); }
  const int* class_ids(size_t head) const { return constants<int>(class_ids_[head]); }
  size_t weight_bytes() const { return weights_->size_bytes(); }

 private:
  void describe(const Epilogues& epilogues);
  void find_seconds();
  void merge_siblings();
  bool are_siblings(int left, int right) const;
  int64_t place_weights();
  void pack(Context& ctx, const std::map<int, FoldRecipe>& recipes, const StateDict& weights, char* to) const;
  template <class T>
  const T* constants(int64_t offset) const {
    return static_cast<const T*>(weights(offset));
  }

  DeviceBackend backend_;
  KernelMath math_;
  Graph graph_;
  std::vector<int> value_of_;
  std::unique_ptr<ConcatPlaces> places_;
  std::map<int, DeviceConv> convs_;  // by the first node that runs
  std::vector<int> producer_;        // by value: the convolution that computes it, -1 = another operation
  std::map<int, int64_t> stitches_;  // offsets of the weights of cross-stitch units, by node
  std::vector<int64_t> class_ids_;   // by head
  std::shared_ptr<Storage> weights_;
};

}  // namespace mtyolo::models
