// Which implementation of an op runs: ordered lists, best first, reference last, filled by explicit calls (a
// static constructor in a static library would be dropped by the linker). `--impl conv2d=cpu.reference`
// forces one.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <typeindex>
#include <vector>

#include "core/context.h"
#include "core/tensor.h"

namespace mtyolo::ops {

// One implementation of `Op`. `refuses` returns why it cannot run the query, or nullptr if it can.
template <class Op>
struct Impl {
  std::string name;  // "cpu.igemm"
  const char* (*refuses)(const typename Op::Query&);
  typename Op::Run run;
};

class Impls {
 public:
  template <class Op>
  void add(std::string name, const char* (*refuses)(const typename Op::Query&), typename Op::Run run) {
    list<Op>().push_back({std::move(name), refuses, run});
    names_[Op::kName].push_back(list<Op>().back().name);
  }

  // The first implementation that takes the query; with a forced one, that one or an Error with its reason.
  template <class Op>
  const Impl<Op>& choose(const typename Op::Query& query) const {
    const auto forced = forced_.find(Op::kName);
    std::string reasons;
    for (const Impl<Op>& impl : list<Op>()) {
      if (forced != forced_.end() && impl.name != forced->second) continue;
      const char* reason = impl.refuses(query);
      if (reason == nullptr) return impl;
      reasons += fmt::format("\n  {}: {}", impl.name, reason);
    }
    fail(ExitCode::kRuntime, "no_implementation", "{}: no implementation takes this input{}", Op::kName,
         reasons);
  }

  template <class Op>
  const std::vector<Impl<Op>>& all() const {
    return list<Op>();
  }

  // "conv2d=cpu.reference"; throws Error{kUsage} that lists the names if there is no such op or
  // implementation.
  void force(const std::string& op_equals_name);
  // The forced implementation of an op, or "".
  std::string forced(const std::string& op) const;
  const std::map<std::string, std::vector<std::string>>& names() const { return names_; }

 private:
  template <class Op>
  std::vector<Impl<Op>>& list() {
    auto& slot = lists_[std::type_index(typeid(Op))];
    if (slot == nullptr) slot = std::make_shared<std::vector<Impl<Op>>>();
    return *static_cast<std::vector<Impl<Op>>*>(slot.get());
  }
  template <class Op>
  const std::vector<Impl<Op>>& list() const {
    static const std::vector<Impl<Op>> none;
    const auto it = lists_.find(std::type_index(typeid(Op)));
    return it == lists_.end() ? none : *static_cast<const std::vector<Impl<Op>>*>(it->second.get());
  }

  std::map<std::type_index, std::shared_ptr<void>> lists_;
  std::map<std::string, std::vector<std::string>> names_;
  std::map<std::string, std::string> forced_;
};

// For implementations without conditions but that the tensors are no blocked maps.
template <class Query>
const char* any_input(const Query& q) {
  bool blocked = false;
  if constexpr (requires { q.x; }) blocked |= q.x.is_blocked();
  if constexpr (requires { q.gy; }) blocked |= q.gy.is_blocked();
  return blocked ? "takes no blocked map" : nullptr;
}

// Adds the CPU implementations of every op.
void register_cpu_impls(Impls& impls);

}  // namespace mtyolo::ops
