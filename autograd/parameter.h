// Learned tensors as slices of one flat buffer each for value and gradient, so that an update, averaging,
// clipping and saving are one loop each.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "core/context.h"
#include "core/tensor.h"

namespace mtyolo::autograd {

// train.md section 4. Parameters of one group lie side by side in the flat buffers.
enum class ParamGroup : uint8_t { kNorm, kWeight, kBias };  // no decay, decay, no decay
inline constexpr int kParamGroups = 3;

struct Parameter {
  std::string name;
  ParamGroup group = ParamGroup::kWeight;
  bool trainable = true;  // false: frozen, its gradient is neither computed nor used
  Tensor value, grad;     // contiguous views of the flat buffers, f32
};

// State that is no parameter: running statistics (f32), counters (i64), anchors.
struct Buffer {
  std::string name;
  Tensor value;
};

struct ParamSpec {
  std::string name;
  ParamGroup group;
  Tensor init;  // any floating type; copied
};

class ParamStore {
 public:
  // Throws Error on a repeated name.
  ParamStore(Context& ctx, const std::vector<ParamSpec>& parameters, std::vector<Buffer> buffers);

  std::vector<Parameter>& parameters() { return parameters_; }  // in the order of their flat offsets
  const std::vector<Parameter>& parameters() const { return parameters_; }
  std::vector<Buffer>& buffers() { return buffers_; }
  const std::vector<Buffer>& buffers() const { return buffers_; }
  Parameter* find(const std::string& name);
  Buffer* find_buffer(const std::string& name);

  // Flat [numel] f32 of all parameters, and the elements [begin, end) of one group in it.
  const Tensor& values() const { return values_; }
  const Tensor& gradients() const { return gradients_; }
  std::pair<int64_t, int64_t> range(ParamGroup group) const { return ranges_[size_t(group)]; }
  void zero_grad();

 private:
  std::vector<Parameter> parameters_;
  std::vector<Buffer> buffers_;
  std::unordered_map<std::string, size_t> parameter_index_, buffer_index_;
  Tensor values_, gradients_;
  std::pair<int64_t, int64_t> ranges_[kParamGroups];
};

}  // namespace mtyolo::autograd
