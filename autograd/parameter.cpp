#include "autograd/parameter.h"

#include <cstring>

namespace mtyolo::autograd {

ParamStore::ParamStore(Context& ctx, const std::vector<ParamSpec>& parameters, std::vector<Buffer> buffers)
    : buffers_(std::move(buffers)) {
  int64_t total = 0;
  for (const ParamSpec& spec : parameters) total += spec.init.numel();
  values_ = Tensor::empty({total}, DType::kF32, ctx.allocator());
  gradients_ = Tensor::zeros({total}, DType::kF32, ctx.allocator());

  int64_t offset = 0;
  for (int g = 0; g < kParamGroups; ++g) {
    ranges_[g].first = offset;
    for (const ParamSpec& spec : parameters) {
      if (spec.group != ParamGroup(g)) continue;
      const int64_t end = offset + spec.init.numel();
      Parameter p{spec.name, spec.group, true, values_.slice(0, offset, end).reshape(spec.init.shape()),
                  gradients_.slice(0, offset, end).reshape(spec.init.shape())};
      p.value.copy_from(spec.init);
      const bool added = parameter_index_.emplace(spec.name, parameters_.size()).second;
      MTYOLO_CHECK(added, "parameter {} is given twice", quoted(spec.name));
      parameters_.push_back(std::move(p));
      offset = end;
    }
    ranges_[g].second = offset;
  }
  for (size_t i = 0; i < buffers_.size(); ++i) {
    const bool added = buffer_index_.emplace(buffers_[i].name, i).second;
    MTYOLO_CHECK(added && !parameter_index_.contains(buffers_[i].name), "buffer {} is given twice",
                 quoted(buffers_[i].name));
  }
}

Parameter* ParamStore::find(const std::string& name) {
  const auto it = parameter_index_.find(name);
  return it == parameter_index_.end() ? nullptr : &parameters_[it->second];
}

Buffer* ParamStore::find_buffer(const std::string& name) {
  const auto it = buffer_index_.find(name);
  return it == buffer_index_.end() ? nullptr : &buffers_[it->second];
}

void ParamStore::zero_grad() { std::memset(gradients_.raw(), 0, gradients_.size_bytes()); }

}  // namespace mtyolo::autograd
