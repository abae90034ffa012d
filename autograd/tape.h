// Reverse-mode differentiation: functions (autograd/functions.h) record what they did on a tape, and the tape
// walks back through the records. A record is freed, with everything it kept, as soon as it is done.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "core/context.h"
#include "core/tensor.h"
#include "ops/grad_mode.h"
#include "ops/impls.h"

namespace mtyolo::autograd {

// The gradient of one value while it is collected. The first contribution overwrites, so nothing is filled
// with zeros; the others are added in the order in which the tape meets them.
class Gradient {
 public:
  // For a value like `value`. A blocked one gets a halo of at least `halo`, for the function that reads it.
  explicit Gradient(const Tensor& value, int halo = 0);
  // For a parameter: everything is added to `sum`, which the caller owns.
  static std::shared_ptr<Gradient> of_parameter(const Tensor& sum);

  const Tensor& value() const { return value_; }  // undefined: nothing has arrived
  bool shared() const { return shared_; }         // others read the same elements: not to be written
  int halo() const { return std::max(halo_, 0); }

  // Where a function writes its contribution, and how.
  struct Slot {
    Tensor tensor;
    ops::GradMode mode;
  };
  Slot open(Context& ctx);
  // The same for functions that only add: zeros at first.
  Tensor sum(Context& ctx);
  // A contribution that lies in `g`. The first one is taken without a copy where its halo allows; `g_shared`:
  // someone else holds it too.
  void give(Context& ctx, const Tensor& g, bool g_shared);
  bool takes(const Tensor& g) const;  // as the first one without a copy
  void clear();
  Tensor make(Context& ctx) const;  // elements for such a value

 private:
  Shape shape_;
  DType dtype_;
  int halo_;  // -1: plain
  Tensor value_;
  bool shared_ = false;
};

// A value and, where something that can be trained depends on its gradient, the gradient. A handle.
struct Var {
  Tensor value;
  std::shared_ptr<Gradient> grad;  // null: not wanted
  // Makes the value once more, bit for bit, for a backward pass that had better not keep it; empty: keep it.
  std::function<Tensor()> again = {};
};

class Tape {
 public:
  // Not recording: functions compute values only, which want no gradients.
  Tape(Context& ctx, const ops::Impls& impls, bool recording = true)
      : ctx_(ctx), impls_(impls), recording_(recording) {}

  Context& ctx() const { return ctx_; }
  const ops::Impls& impls() const { return impls_; }
  bool recording() const { return recording_; }
  size_t size() const { return nodes_.size(); }

  // `backward` is called when the gradients of all users of the outputs have arrived; not at all if none did.
  // `name` is for profiles (core/profile.h) and outlives the tape.
  void record(const char* name, std::vector<std::shared_ptr<Gradient>> outputs,
              std::function<void()> backward);
  // Last record first. The caller has given gradients to the values it wants to start from. `keep`: the
  // records stay, for another walk from other gradients.
  void backward(bool keep = false);

 private:
  struct Node {
    const char* name;
    std::vector<std::shared_ptr<Gradient>> outputs;
    std::function<void()> backward;
  };
  Context& ctx_;
  const ops::Impls& impls_;
  bool recording_;
  std::vector<Node> nodes_;
};

}  // namespace mtyolo::autograd
