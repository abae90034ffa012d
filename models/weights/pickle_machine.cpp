// The run of the pickle machine, its stack and its values (reliability.md P1, P2, P6, P8).
#include "models/weights/pickle_machine.h"

#include <algorithm>
#include <limits>

#include "models/weights/limits.h"

namespace mtyolo::models {

PickleTree parse_pickle(ByteReader& reader, const PickleOptions& options) {
  const size_t begin = reader.position();
  try {
    return PickleMachine(reader, options).run();
  } catch (const Error& e) {
    ErrorInfo info = e.info();
    if (info.where.empty()) info.where = fmt::format("byte {} of the pickle", reader.position() - begin);
    throw Error(std::move(info));
  }
}

PickleMachine::PickleMachine(ByteReader& reader, const PickleOptions& options)
    : reader_(reader), options_(options) {
  memory_limit_ = kPickleMemoryBase + kPickleMemoryFactor * reader.remaining();
  none_ = make(ValueKind::kNone);
}

PickleTree PickleMachine::run() {
  if (reader_.remaining() > kMaxPickleBytes && options_.storage_bytes)
    refuse("Z7", "the pickle has {} bytes, the limit is {}", reader_.remaining(), kMaxPickleBytes);
  const auto proto = reader_.little<uint8_t>(), version = reader_.little<uint8_t>();
  if (!proto || !version || *proto != 0x80 || *version > 5)
    refuse("P4", "does not begin with a pickle protocol of 0 to 5");
  while (true) {
    const auto op = reader_.little<uint8_t>();
    if (!op) refuse("P4", "the pickle ends without STOP");
    if (*op == '.') break;
    if (++ops_ > kMaxPickleOps) refuse("P8", "the pickle has more than {} opcodes", kMaxPickleOps);
    step(*op);
  }
  if (!marks_.empty()) refuse("P6", "a mark is left at the end of the pickle");
  if (stack_.size() != 1)
    refuse("P6", "{} values are left at the end of the pickle, expected 1", stack_.size());
  tree_.root_ = stack_.back();
  check_tree(tree_);
  return std::move(tree_);
}

void PickleMachine::charge(uint64_t bytes) {
  charged_ += bytes;
  if (charged_ > memory_limit_) refuse("P8", "the pickle unfolds to more than {} bytes", memory_limit_);
}

Ref PickleMachine::make(ValueKind kind, uint64_t bits) {
  charge(sizeof(Value));
  if (tree_.values_.size() >= kMaxPickleNodes)
    refuse("P8", "the pickle has more than {} values", kMaxPickleNodes);
  tree_.values_.push_back({kind, true, 0, bits});
  return Ref(tree_.values_.size() - 1);
}

Ref PickleMachine::make_text(ValueKind kind, std::string_view text) {
  if (text.size() > std::numeric_limits<uint32_t>::max())
    refuse("P4", "a text of {} bytes is too long", text.size());
  const Ref r = make(kind, uint64_t(reinterpret_cast<uintptr_t>(text.data())));
  tree_.values_[r].length = uint32_t(text.size());
  return r;
}

Ref PickleMachine::make_owned_text(ValueKind kind, std::string text) {
  charge(sizeof(std::string) + text.size());
  return make_text(kind, tree_.texts_.emplace_back(std::move(text)));
}

Ref PickleMachine::make_container(ValueKind kind, std::vector<Ref> items) {
  const Ref r = make(kind);
  Value& v = tree_.values_[r];
  v.hashable = std::all_of(items.begin(), items.end(), [&](Ref i) { return is_hashable(i); });
  if (items.empty()) return r;
  charge(sizeof(items) + items.capacity() * sizeof(Ref));
  tree_.containers_.push_back(std::move(items));
  v.bits = tree_.containers_.size();
  return r;
}

Ref PickleMachine::make_record(Ref symbol, Ref args) {
  charge(sizeof(RecordValue));
  tree_.records_.push_back({symbol, args, none_, {}});
  return make(ValueKind::kRecord, tree_.records_.size());
}

Ref PickleMachine::make_tensor(TensorValue tensor) {
  charge(sizeof(TensorValue) + (tensor.sizes.capacity() + tensor.strides.capacity()) * sizeof(int64_t));
  tree_.tensors_.push_back(std::move(tensor));
  return make(ValueKind::kTensor, tree_.tensors_.size());
}

Ref PickleMachine::make_array(ValueKind kind, ArrayValue array) {
  charge(sizeof(ArrayValue));
  tree_.arrays_.push_back(std::move(array));
  return make(kind, tree_.arrays_.size());
}

void PickleMachine::push(Ref r) {
  if (stack_.size() >= kMaxPickleStack) refuse("P8", "more than {} values on the stack", kMaxPickleStack);
  charge(sizeof(Ref));
  stack_.push_back(r);
}

Ref PickleMachine::pop() {
  const Ref r = top();
  stack_.pop_back();
  return r;
}

Ref PickleMachine::top() {
  if (stack_.size() <= floor()) refuse("P6", "the pickle takes a value from an empty stack");
  return stack_.back();
}

std::vector<Ref> PickleMachine::pop_to_mark() {
  if (marks_.empty()) refuse("P6", "the pickle goes back to a mark that is not there");
  std::vector<Ref> items(stack_.begin() + std::ptrdiff_t(marks_.back()), stack_.end());
  stack_.resize(marks_.back());
  marks_.pop_back();
  return items;
}

bool PickleMachine::is_hashable(Ref r) const {
  const ValueKind kind = tree_.kind(r);
  if (kind == ValueKind::kTuple) return tree_.values_[r].hashable;
  return kind != ValueKind::kList && kind != ValueKind::kDict && kind != ValueKind::kSet &&
         kind != ValueKind::kArray && kind != ValueKind::kStorage;
}

std::vector<Ref>& PickleMachine::items_of(Ref r) {
  if (tree_.is(r, ValueKind::kRecord)) return tree_.records_[tree_.index(r)].items;
  Value& v = tree_.values_[r];
  if (v.bits == 0) {
    charge(sizeof(std::vector<Ref>));
    tree_.containers_.emplace_back();
    v.bits = tree_.containers_.size();
  }
  return tree_.containers_[tree_.index(r)];
}

void PickleMachine::append(Ref target, const std::vector<Ref>& items) {
  const bool record = tree_.is(target, ValueKind::kRecord) &&
                      tree_.symbol(tree_.record(target).symbol).meaning != Meaning::kModule;
  if (!record && !tree_.is(target, ValueKind::kList)) refuse("P6", "APPEND on {}", name(tree_.kind(target)));
  if (items.empty()) return;
  charge(2 * items.size() * sizeof(Ref));
  auto& list = items_of(target);
  list.insert(list.end(), items.begin(), items.end());
}

void PickleMachine::set_items(Ref target, const std::vector<Ref>& pairs) {
  const bool record = tree_.is(target, ValueKind::kRecord) &&
                      tree_.symbol(tree_.record(target).symbol).meaning != Meaning::kModule;
  if (!record && !tree_.is(target, ValueKind::kDict)) refuse("P6", "SETITEM on {}", name(tree_.kind(target)));
  if (pairs.size() % 2 != 0)
    refuse("P6", "a dict gets {} values, which is not a whole number of pairs", pairs.size());
  for (size_t i = 0; i < pairs.size(); i += 2)
    if (!is_hashable(pairs[i])) refuse("P6", "{} as the key of a dict", name(tree_.kind(pairs[i])));
  if (pairs.empty()) return;
  charge(2 * pairs.size() * sizeof(Ref));
  auto& list = items_of(target);
  list.insert(list.end(), pairs.begin(), pairs.end());
}

void PickleMachine::add_to_set(Ref target, const std::vector<Ref>& items) {
  want(target, ValueKind::kSet, "the target of ADDITEMS");
  for (const Ref r : items)
    if (!is_hashable(r)) refuse("P6", "{} in a set", name(tree_.kind(r)));
  if (items.empty()) return;
  charge(2 * items.size() * sizeof(Ref));
  auto& list = items_of(target);
  list.insert(list.end(), items.begin(), items.end());
}

}  // namespace mtyolo::models
