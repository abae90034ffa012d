#include "models/weights/checkpoint.h"

namespace mtyolo::models {

void StateDict::add(std::string name, Tensor tensor) {
  const bool fresh = index_.emplace(name, entries_.size()).second;
  if (!fresh) fail(ExitCode::kModel, "duplicate_tensor", "two tensors are named {}", quoted(name));
  entries_.emplace_back(std::move(name), std::move(tensor));
}

const Tensor* StateDict::find(const std::string& name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &entries_[it->second].second;
}

}  // namespace mtyolo::models
