#include "models/weights/pickle_value.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "core/byte_reader.h"
#include "models/weights/limits.h"

namespace mtyolo::models {

std::string_view name(ValueKind kind) {
  constexpr std::array<std::string_view, 17> kNames{
      "None",     "a boolean", "an integer", "a big integer", "a number",    "a string",
      "bytes",    "a list",    "a tuple",    "a dict",        "a set",       "a storage",
      "a tensor", "a class",   "an object",  "a numpy array", "a numpy type"};
  return kNames.at(size_t(kind));
}

std::string_view PickleTree::text(Ref r) const {
  const Value& v = values_[r];
  return {reinterpret_cast<const char*>(uintptr_t(v.bits)), v.length};
}

std::span<const Ref> PickleTree::items(Ref r) const {
  if (values_[r].bits == 0) return {};
  return containers_[index(r)];
}

std::optional<Ref> PickleTree::find(Ref dict, std::string_view key) const {
  if (!is(dict, ValueKind::kDict)) return std::nullopt;
  const auto pairs = items(dict);
  for (size_t i = 0; i + 1 < pairs.size(); i += 2)
    if (is(pairs[i], ValueKind::kString) && text(pairs[i]) == key) return pairs[i + 1];
  return std::nullopt;
}

std::optional<int64_t> PickleTree::as_integer(Ref r) const {
  return is(r, ValueKind::kInt) ? std::optional(integer(r)) : std::nullopt;
}

std::optional<double> PickleTree::as_number(Ref r) const {
  switch (kind(r)) {
    case ValueKind::kBool:
    case ValueKind::kInt:
      return double(integer(r));
    case ValueKind::kDouble:
      return number(r);
    case ValueKind::kArray:
      break;
    default:
      return std::nullopt;
  }
  const ArrayValue& a = array(r);
  ByteReader bytes(std::as_bytes(std::span(a.data)));
  const auto read = [&](auto zero) -> std::optional<double> {
    using T = decltype(zero);
    if (a.data.size() != sizeof(T)) return std::nullopt;
    return double(a.order == '>' ? *bytes.big<T>() : *bytes.little<T>());
  };
  return a.code == "f8" ? read(double{}) : a.code == "f4" ? read(float{}) : std::nullopt;
}

namespace {

// Text that two keys share exactly when Python takes them for equal; empty for keys that are not compared.
std::string key_identity(const PickleTree& tree, Ref key) {
  switch (tree.kind(key)) {
    case ValueKind::kString:
      return "s" + std::string(tree.text(key));
    case ValueKind::kBytes:
      return "b" + std::string(tree.text(key));
    case ValueKind::kBool:
    case ValueKind::kInt:
      return "i" + std::to_string(tree.integer(key));
    case ValueKind::kNone:
      return "n";
    default:
      return {};
  }
}

void check_keys(const PickleTree& tree, Ref dict) {
  const auto pairs = tree.items(dict);
  std::unordered_set<std::string> seen;
  for (size_t i = 0; i < pairs.size(); i += 2) {
    std::string identity = key_identity(tree, pairs[i]);
    if (identity.empty()) continue;
    if (!seen.insert(identity).second)
      fail(ExitCode::kModel, "P1", "a dict of the pickle has the key {} twice",
           quoted(std::string_view(identity).substr(1)));
  }
}

struct Frame {
  Ref ref;
  size_t next;
};

std::optional<Ref> child(const PickleTree& tree, Ref r, size_t i) {
  switch (tree.kind(r)) {
    case ValueKind::kList:
    case ValueKind::kTuple:
    case ValueKind::kDict:
    case ValueKind::kSet: {
      const auto items = tree.items(r);
      return i < items.size() ? std::optional(items[i]) : std::nullopt;
    }
    case ValueKind::kRecord: {
      const RecordValue& record = tree.record(r);
      if (i < 2) return i == 0 ? record.args : record.state;
      return i - 2 < record.items.size() ? std::optional(record.items[i - 2]) : std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

void check_tree(const PickleTree& tree) {
  enum : uint8_t { kNew, kOpen, kDone };
  std::vector<uint8_t> state(tree.size(), kNew), depth(tree.size(), 0);
  std::vector<uint32_t> count(tree.size(), 1);
  std::vector<Frame> path{{tree.root(), 0}};
  state[tree.root()] = kOpen;
  while (!path.empty()) {
    Frame& top = path.back();
    const Ref r = top.ref;
    if (const auto next = child(tree, r, top.next)) {
      if (state[*next] == kOpen)
        fail(ExitCode::kModel, "P8", "{} in the pickle contains itself", name(tree.kind(*next)));
      if (state[*next] == kNew) {
        if (path.size() >= kMaxPickleDepth)
          fail(ExitCode::kModel, "P8", "values are nested more than {} deep", kMaxPickleDepth);
        state[*next] = kOpen;
        path.push_back({*next, 0});
        continue;
      }
      ++top.next;
      depth[r] = std::max<uint8_t>(depth[r], uint8_t(depth[*next] + 1));
      count[r] = std::min(count[r] + count[*next], kMaxPickleNodes + 1);
      if (depth[r] > kMaxPickleDepth)
        fail(ExitCode::kModel, "P8", "values are nested more than {} deep", kMaxPickleDepth);
      continue;
    }
    if (tree.is(r, ValueKind::kDict)) check_keys(tree, r);
    if (count[r] > kMaxPickleNodes)
      fail(ExitCode::kModel, "P8", "the pickle unfolds to more than {} values", kMaxPickleNodes);
    state[r] = kDone;
    path.pop_back();
  }
}

}  // namespace mtyolo::models
