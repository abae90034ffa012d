// Names, calls, states and persistent ids of the pickle machine (reliability.md P5 to P7).
#include <algorithm>

#include "core/checked.h"
#include "core/shape.h"
#include "models/weights/limits.h"
#include "models/weights/pickle_machine.h"
#include "models/weights/tensor_view.h"

namespace mtyolo::models {

void PickleMachine::want(Ref r, ValueKind kind, const char* what) {
  if (!tree_.is(r, kind)) refuse("P6", "{} is {}, expected {}", what, name(tree_.kind(r)), name(kind));
}

int64_t PickleMachine::want_integer(Ref r, const char* what) {
  want(r, ValueKind::kInt, what);
  return tree_.integer(r);
}

std::string_view PickleMachine::want_string(Ref r, const char* what) {
  want(r, ValueKind::kString, what);
  return tree_.text(r);
}

void PickleMachine::want_dict_or_none(Ref r, const char* what) {
  if (!tree_.is(r, ValueKind::kNone)) want(r, ValueKind::kDict, what);
}

Ref PickleMachine::global(std::string_view module, std::string_view symbol) {
  const std::string key = std::string(module) + "\n" + std::string(symbol);
  const auto known = globals_.find(key);
  if (known != globals_.end()) return known->second;
  const Symbol resolved = resolve_symbol(module, symbol);
  charge(sizeof(Symbol) + key.size() + 96);
  tree_.symbols_.push_back(resolved);
  const Ref r = make(ValueKind::kSymbol, tree_.symbols_.size());
  globals_.emplace(key, r);
  return r;
}

Ref PickleMachine::call(Ref callee, Ref args) {
  want(callee, ValueKind::kSymbol, "what REDUCE calls");
  want(args, ValueKind::kTuple, "the arguments of a call");
  const Symbol& symbol = tree_.symbol(callee);
  switch (symbol.meaning) {
    case Meaning::kRebuildTensorV2:
      return rebuild_tensor(args, false);
    case Meaning::kRebuildTensor:
      return rebuild_tensor(args, true);
    case Meaning::kRebuildParameter:
      return rebuild_parameter(args, false);
    case Meaning::kRebuildParameterWithState:
      return rebuild_parameter(args, true);
    case Meaning::kRebuildFromType:
      return call_from_type(args);
    case Meaning::kNumpyReconstruct:
    case Meaning::kNumpyScalar:
    case Meaning::kNumpyType:
      return call_numpy(symbol, args);
    case Meaning::kInert:
    case Meaning::kModule:
    case Meaning::kTorchValue:
    case Meaning::kForeign:
      return make_record(callee, args);
    case Meaning::kNdarray:
    case Meaning::kStorageClass:
    case Meaning::kTensorType:
      refuse("P6", "{} cannot be called", quoted(symbol.name));
    default:
      return call_builtin(symbol, callee, args);
  }
}

Ref PickleMachine::call_builtin(const Symbol& symbol, Ref callee, Ref args) {
  const auto items = tree_.items(args);
  switch (symbol.meaning) {
    case Meaning::kOrderedDict:
    case Meaning::kDictType:
      if (!items.empty()) refuse("P6", "{} is given arguments, expected an empty dict", quoted(symbol.name));
      return make(ValueKind::kDict);
    case Meaning::kDefaultDict:
      if (items.size() > 1 || (items.size() == 1 && !tree_.is(items[0], ValueKind::kSymbol) &&
                               !tree_.is(items[0], ValueKind::kNone)))
        refuse("P6", "defaultdict is given arguments other than a class");
      return make(ValueKind::kDict);
    case Meaning::kSetType:
      return copy_items(ValueKind::kSet, args);
    case Meaning::kListType:
      return copy_items(ValueKind::kList, args);
    case Meaning::kTupleType:
    case Meaning::kSize:
      return copy_items(ValueKind::kTuple, args);
    case Meaning::kIntType:
    case Meaning::kFloatType:
      if (items.size() > 1 || (items.size() == 1 && !tree_.as_number(items[0])))
        refuse("P6", "{} is given something that is not a number", quoted(symbol.name));
      return items.empty() ? make(ValueKind::kInt) : items[0];
    case Meaning::kCodecsEncode:
      return encode(args);
    case Meaning::kByteArrayType:
      if (items.size() == 1) want(items[0], ValueKind::kBytes, "the content of a bytearray");
      if (items.size() == 2) return encode(args);
      return items.empty() ? make_text(ValueKind::kBytes, {}) : items[0];
    case Meaning::kPath:
      return path(symbol, args);
    default:
      return make_record(callee, args);  // slice
  }
}

// set, list, tuple and torch.Size: nothing, or one list, tuple or set to copy.
Ref PickleMachine::copy_items(ValueKind kind, Ref args) {
  const auto items = tree_.items(args);
  if (items.empty()) return make(kind);
  const ValueKind given = tree_.kind(items[0]);
  if (items.size() != 1 ||
      (given != ValueKind::kList && given != ValueKind::kTuple && given != ValueKind::kSet))
    refuse("P6", "{} is made from {}, expected one list", name(kind), name(given));
  const auto source = tree_.items(items[0]);
  if (kind != ValueKind::kSet) return make_container(kind, {source.begin(), source.end()});
  const Ref set = make(ValueKind::kSet);
  add_to_set(set, {source.begin(), source.end()});
  return set;
}

// _codecs.encode(text, "latin1"): one byte per code point.
Ref PickleMachine::encode(Ref args) {
  const auto items = tree_.items(args);
  if (items.size() != 2) refuse("P6", "_codecs.encode is given {} arguments, expected 2", items.size());
  const std::string_view text = want_string(items[0], "the text to encode");
  const std::string_view encoding = want_string(items[1], "the encoding");
  if (encoding != "latin1" && encoding != "latin-1")
    refuse("P6", "the encoding {} is not latin1", quoted(encoding));
  charge(text.size());
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto b = uint8_t(text[i]);
    if (b < 0x80) {
      bytes.push_back(char(b));
    } else if ((b == 0xc2 || b == 0xc3) && i + 1 < text.size()) {
      bytes.push_back(char((b & 3) << 6 | (uint8_t(text[++i]) & 0x3f)));
    } else {
      refuse("P6", "the text {} does not fit in latin1", quoted(text));
    }
  }
  return make_owned_text(ValueKind::kBytes, std::move(bytes));
}

Ref PickleMachine::path(const Symbol& symbol, Ref args) {
  std::string joined;
  for (const Ref r : tree_.items(args)) {
    const std::string_view part = want_string(r, "a part of a path");
    charge(part.size());
    if (!joined.empty() && joined.back() != '/') joined += symbol.name == "WindowsPath" ? '\\' : '/';
    joined += part;
  }
  return make_owned_text(ValueKind::kString, std::move(joined));
}

// func, type, args, state: func must be one of the rebuild functions, applied to args.
Ref PickleMachine::call_from_type(Ref args) {
  const auto items = tree_.items(args);
  if (items.size() != 4)
    refuse("P6", "_rebuild_from_type_v2 is given {} arguments, expected 4", items.size());
  want(items[0], ValueKind::kSymbol, "the function of _rebuild_from_type_v2");
  want(items[1], ValueKind::kSymbol, "the type of _rebuild_from_type_v2");
  want(items[2], ValueKind::kTuple, "the arguments inside _rebuild_from_type_v2");
  const Meaning type = tree_.symbol(items[1]).meaning;
  if (type != Meaning::kTensorType && type != Meaning::kForeign)
    refuse("P6", "{} is not a type of tensor", quoted(tree_.symbol(items[1]).name));
  switch (tree_.symbol(items[0]).meaning) {
    case Meaning::kRebuildTensorV2:
      return rebuild_tensor(items[2], false);
    case Meaning::kRebuildTensor:
      return rebuild_tensor(items[2], true);
    case Meaning::kRebuildParameter:
      return rebuild_parameter(items[2], false);
    case Meaning::kRebuildParameterWithState:
      return rebuild_parameter(items[2], true);
    default:
      refuse("P5", "{} does not rebuild a tensor", quoted(tree_.symbol(items[0]).name));
  }
}

Ref PickleMachine::new_object(Ref callee, Ref args) {
  want(callee, ValueKind::kSymbol, "the class of a new object");
  const Meaning meaning = tree_.symbol(callee).meaning;
  const bool function = meaning <= Meaning::kTensorType || meaning == Meaning::kCodecsEncode ||
                        meaning == Meaning::kNumpyReconstruct || meaning == Meaning::kNumpyScalar;
  if (function) refuse("P6", "{} is not a class", quoted(tree_.symbol(callee).name));
  return call(callee, args);
}

void PickleMachine::build(Ref target, Ref state) {
  switch (tree_.kind(target)) {
    case ValueKind::kRecord: {
      RecordValue& record = tree_.records_[tree_.index(target)];
      if (!tree_.is(record.state, ValueKind::kNone)) refuse("P6", "an object is given its state twice");
      record.state = state;
      return;
    }
    case ValueKind::kDict:    // attributes of an OrderedDict, such as _metadata
    case ValueKind::kTensor:  // attributes of a Parameter
      if (!tree_.is(state, ValueKind::kTuple)) want_dict_or_none(state, "the attributes of a dict or tensor");
      return;
    case ValueKind::kArray:
    case ValueKind::kArrayType:
      build_array(tree_.arrays_[tree_.index(target)], state);
      return;
    default:
      refuse("P6", "BUILD on {}", name(tree_.kind(target)));
  }
}

// Of an array: (version, shape, type, fortran order, data); of a type: (version, byte order, ...).
void PickleMachine::build_array(ArrayValue& array, Ref state) {
  want(state, ValueKind::kTuple, "the state of a numpy array");
  const auto items = tree_.items(state);
  if (items.size() >= 2 && tree_.is(items[1], ValueKind::kString)) {
    const std::string_view order = tree_.text(items[1]);
    if (order != "<" && order != ">" && order != "|" && order != "=")
      refuse("P6", "{} is not a numpy byte order", quoted(order));
    array.order = order[0];
    return;
  }
  if (items.size() != 5) refuse("P6", "the state of a numpy array has {} parts, expected 5", items.size());
  array.shape = dims(items[1], "the shape of a numpy array");
  want(items[2], ValueKind::kArrayType, "the type of a numpy array");
  array.code = tree_.array(items[2]).code;
  array.order = tree_.array(items[2]).order;
  if (tree_.is(items[4], ValueKind::kList)) return;  // an array of objects: not interpreted
  want(items[4], ValueKind::kBytes, "the data of a numpy array");
  array.data = tree_.text(items[4]);
}

Ref PickleMachine::call_numpy(const Symbol& symbol, Ref args) {
  const auto items = tree_.items(args);
  if (symbol.meaning == Meaning::kNumpyScalar) return numpy_scalar(args);
  if (symbol.meaning == Meaning::kNumpyType) {
    if (items.empty() || items.size() > 3)
      refuse("P6", "numpy.dtype is given {} arguments, expected 3", items.size());
    const std::string_view code = want_string(items[0], "a numpy type");
    if (code.size() > 16) refuse("P6", "{} is not a numpy type", quoted(code));
    return make_array(ValueKind::kArrayType, {std::string(code), '<', {}, {}});
  }
  if (items.size() != 3) refuse("P6", "numpy's _reconstruct is given {} arguments, expected 3", items.size());
  want(items[0], ValueKind::kSymbol, "the class of a numpy array");
  if (tree_.symbol(items[0]).meaning != Meaning::kNdarray)
    refuse("P6", "{} is not the class of a numpy array", quoted(tree_.symbol(items[0]).name));
  return make_array(ValueKind::kArray, {});
}

Ref PickleMachine::numpy_scalar(Ref args) {
  const auto items = tree_.items(args);
  if (items.size() != 2) refuse("P6", "numpy's scalar is given {} arguments, expected 2", items.size());
  want(items[0], ValueKind::kArrayType, "the type of a numpy scalar");
  want(items[1], ValueKind::kBytes, "the value of a numpy scalar");
  const ArrayValue& type = tree_.array(items[0]);
  return make_array(ValueKind::kArray, {type.code, type.order, {}, tree_.text(items[1])});
}

std::vector<int64_t> PickleMachine::dims(Ref tuple, const char* what) {
  want(tuple, ValueKind::kTuple, what);
  const auto items = tree_.items(tuple);
  if (items.size() > size_t(kMaxRank))
    refuse("P9", "{} has {} dimensions, the limit is {}", what, items.size(), kMaxRank);
  std::vector<int64_t> values;
  for (const Ref r : items) values.push_back(want_integer(r, what));
  return values;
}

// (storage, offset, size, stride[, requires_grad, hooks[, metadata]])
Ref PickleMachine::rebuild_tensor(Ref args, bool old_form) {
  const auto items = tree_.items(args);
  const bool count_fits = old_form ? items.size() == 4 : items.size() == 6 || items.size() == 7;
  if (!count_fits) refuse("P6", "a tensor is made from {} arguments", items.size());
  want(items[0], ValueKind::kStorage, "the storage of a tensor");
  if (!old_form) {
    want(items[4], ValueKind::kBool, "requires_grad of a tensor");
    want_dict_or_none(items[5], "the hooks of a tensor");
    if (items.size() == 7) want_dict_or_none(items[6], "the metadata of a tensor");
  }
  TensorValue t;
  t.storage = uint32_t(tree_.index(items[0]));
  t.offset = want_integer(items[1], "the offset of a tensor");
  t.sizes = dims(items[2], "the size of a tensor");
  t.strides = dims(items[3], "the stride of a tensor");
  check_tensor(t);
  return make_tensor(std::move(t));
}

// P7 and P9.
void PickleMachine::check_tensor(const TensorValue& t) {
  if (t.sizes.size() != t.strides.size())
    refuse("P7", "a tensor has {} sizes and {} strides", t.sizes.size(), t.strides.size());
  if (t.offset < 0) refuse("P7", "a tensor has the offset {}", t.offset);
  const auto numel = checked_numel(t.sizes);
  if (!numel) refuse("P7", "the sizes of a tensor are negative or their product overflows");
  for (const int64_t stride : t.strides)
    if (stride < 0) refuse("P7", "a tensor has the stride {}", stride);
  if (*numel == 0) return;
  const StorageValue& storage = tree_.storage(t.storage);
  std::optional<uint64_t> last = uint64_t(t.offset);
  for (size_t i = 0; i < t.sizes.size() && last; ++i) {
    const auto span = checked::mul(uint64_t(t.sizes[i] - 1), uint64_t(t.strides[i]));
    last = span ? checked::add(*last, *span) : std::nullopt;
  }
  if (!last || *last >= uint64_t(storage.numel))
    refuse("P7", "a tensor reaches beyond the {} elements of storage {}", storage.numel, quoted(storage.key));
  const auto bytes = checked::mul(uint64_t(*numel), item_size(storage.dtype));
  const auto sum = bytes ? checked::add(tensor_bytes_, *bytes) : std::nullopt;
  const uint64_t limit = kTensorBytesBase + kTensorBytesFactor * options_.file_bytes;
  if (!sum || *sum > limit)
    refuse("P9", "the tensors have more than {} bytes when copied out, too many for a file of {}", limit,
           options_.file_bytes);
  tensor_bytes_ = *sum;
}

// (tensor, requires_grad, hooks[, state])
Ref PickleMachine::rebuild_parameter(Ref args, bool with_state) {
  const auto items = tree_.items(args);
  if (items.size() != (with_state ? 4u : 3u))
    refuse("P6", "a parameter is made from {} arguments", items.size());
  want(items[0], ValueKind::kTensor, "the data of a parameter");
  want(items[1], ValueKind::kBool, "requires_grad of a parameter");
  want_dict_or_none(items[2], "the hooks of a parameter");
  return items[0];
}

Ref PickleMachine::persistent(Ref id) {
  want(id, ValueKind::kTuple, "a persistent id");
  const auto items = tree_.items(id);
  const std::string_view tag =
      items.empty() ? "" : want_string(items[0], "the first part of a persistent id");
  if (tag == "storage" && options_.allow_storages) return persistent_storage(items);
  if (tag == "module" && options_.allow_modules && items.size() == 4) {
    want(items[1], ValueKind::kSymbol, "the class of a module");
    const Meaning meaning = tree_.symbol(items[1]).meaning;
    if (meaning != Meaning::kForeign && meaning != Meaning::kModule)
      refuse("P7", "{} is not the class of a module", quoted(tree_.symbol(items[1]).name));
    return items[1];
  }
  refuse("P7", "a persistent id begins with {}, expected 'storage'", quoted(tag));
}

// ('storage', class, key, location, numel[, view]); view: None or (key, offset, numel), legacy streams only.
Ref PickleMachine::persistent_storage(std::span<const Ref> id) {
  if (id.size() != 5 && id.size() != 6) refuse("P7", "a storage id has {} parts, expected 5 or 6", id.size());
  want(id[1], ValueKind::kSymbol, "the class of a storage");
  const Symbol& symbol = tree_.symbol(id[1]);
  if (symbol.meaning != Meaning::kStorageClass)
    refuse("P7", "{} is not a class of storages", quoted(symbol.name));
  StorageValue s;
  s.dtype = symbol.dtype;
  s.key = want_string(id[2], "the key of a storage");
  want(id[3], ValueKind::kString, "the location of a storage");
  s.total = s.numel = want_integer(id[4], "the element count of a storage");
  const auto bytes = s.total < 0 ? std::nullopt : checked::mul(uint64_t(s.total), item_size(s.dtype));
  if (!bytes) refuse("P7", "storage {} claims {} elements", quoted(s.key), s.total);
  if (options_.storage_bytes && s.total > 0) {
    const auto stored = options_.storage_bytes(s.key);
    if (!stored) refuse("P7", "storage {} is not in the file", quoted(s.key));
    if (*bytes > *stored)
      refuse("P7", "storage {} claims {} bytes, the file holds {}", quoted(s.key), *bytes, *stored);
  }
  if (id.size() == 6 && !tree_.is(id[5], ValueKind::kNone)) {
    want(id[5], ValueKind::kTuple, "the view of a storage");
    const auto view = tree_.items(id[5]);
    if (view.size() != 3) refuse("P7", "the view of a storage has {} parts, expected 3", view.size());
    want_string(view[0], "the key of a view");
    s.offset = want_integer(view[1], "the offset of a view");
    s.numel = want_integer(view[2], "the size of a view");
    const bool inside = s.offset >= 0 && s.numel >= 0 && s.offset <= s.total && s.numel <= s.total - s.offset;
    if (!inside) refuse("P7", "a view reaches beyond the {} elements of storage {}", s.total, quoted(s.key));
  }
  charge(sizeof(StorageValue));
  tree_.storages_.push_back(s);
  return make(ValueKind::kStorage, tree_.storages_.size());
}

}  // namespace mtyolo::models
