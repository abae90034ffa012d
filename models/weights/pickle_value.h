// The tree of plain values that a pickle describes (reliability.md P1 and P2). All values live in one arena
// and refer to each other by index; texts are views of the pickle.
#pragma once

#include <bit>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/weights/pickle_symbols.h"

namespace mtyolo::models {

using Ref = uint32_t;  // index of a value in its tree

enum class ValueKind : uint8_t {
  kNone,
  kBool,
  kInt,
  kBigInt,
  kDouble,
  kString,
  kBytes,
  kList,
  kTuple,
  kDict,
  kSet,
  kStorage,
  kTensor,
  kSymbol,
  kRecord,
  kArray,
  kArrayType
};
std::string_view name(ValueKind kind);  // "a list"

// A part of one storage of the container: `numel` elements of type `dtype` from element `offset` on.
struct StorageValue {
  DType dtype = DType::kF32;
  std::string_view key;
  int64_t total = 0;  // elements of the whole storage
  int64_t offset = 0, numel = 0;
};

struct TensorValue {
  uint32_t storage = 0;  // index for PickleTree::storage
  int64_t offset = 0;
  std::vector<int64_t> sizes, strides;
};

// An object of a class that is not interpreted here: what it was made with, its state, and items added to it.
struct RecordValue {
  Ref symbol = 0, args = 0, state = 0;  // state refers to a kNone if there is none
  std::vector<Ref> items;
};

struct ArrayValue {  // numpy
  std::string code;  // "f8"; of an array type, or of the elements
  char order = '<';
  std::vector<int64_t> shape;
  std::string_view data;
};

class PickleTree {
 public:
  ValueKind kind(Ref r) const { return values_[r].kind; }
  bool is(Ref r, ValueKind k) const { return kind(r) == k; }
  int64_t integer(Ref r) const { return int64_t(values_[r].bits); }              // kInt, kBool
  double number(Ref r) const { return std::bit_cast<double>(values_[r].bits); }  // kDouble
  std::string_view text(Ref r) const;                                            // kString, kBytes, kBigInt
  std::span<const Ref> items(Ref r) const;  // kList, kTuple, kSet; kDict: key, value, key, value ...
  const Symbol& symbol(Ref r) const { return symbols_[index(r)]; }
  const RecordValue& record(Ref r) const { return records_[index(r)]; }
  const TensorValue& tensor(Ref r) const { return tensors_[index(r)]; }
  const ArrayValue& array(Ref r) const { return arrays_[index(r)]; }
  const StorageValue& storage(size_t i) const { return storages_[i]; }
  const std::deque<StorageValue>& storages() const { return storages_; }
  const std::deque<Symbol>& symbols() const { return symbols_; }

  size_t size() const { return values_.size(); }
  Ref root() const { return root_; }
  std::optional<Ref> find(Ref dict, std::string_view key) const;  // the value under a string key
  // A number of any kind (bool, int, double, a numpy array with one element).
  std::optional<double> as_number(Ref r) const;
  std::optional<int64_t> as_integer(Ref r) const;  // kInt only

 private:
  friend class PickleMachine;
  friend void check_tree(const PickleTree& tree);
  struct Value {
    ValueKind kind = ValueKind::kNone;
    bool hashable = true;  // kTuple: whether all its items are
    uint32_t length = 0;   // of a text
    uint64_t bits = 0;  // the number, the address of the text, or 1 + index in the pool (0: empty container)
  };
  size_t index(Ref r) const { return size_t(values_[r].bits) - 1; }

  std::deque<Value> values_;
  std::deque<std::vector<Ref>> containers_;
  std::deque<RecordValue> records_;
  std::deque<TensorValue> tensors_;
  std::deque<StorageValue> storages_;
  std::deque<Symbol> symbols_;
  std::deque<ArrayValue> arrays_;
  std::deque<std::string> texts_;  // those that are not in the pickle as they are
  Ref root_ = 0;
};

// Refuses cycles, depth, size with sharing unfolded, and repeated dict keys (P1, P8), walking from the root
// without recursion.
void check_tree(const PickleTree& tree);

}  // namespace mtyolo::models
