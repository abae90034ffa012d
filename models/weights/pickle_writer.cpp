#include "models/weights/pickle_writer.h"

#include <bit>
#include <limits>

#include "models/weights/metadata.h"

namespace mtyolo::models {
namespace {

std::string_view storage_class(DType type) {
  switch (type) {
    case DType::kF32:
      return "FloatStorage";
    case DType::kF16:
      return "HalfStorage";
    case DType::kBF16:
      return "BFloat16Storage";
    case DType::kF64:
      return "DoubleStorage";
    case DType::kU8:
      return "ByteStorage";
    case DType::kI8:
      return "CharStorage";
    case DType::kI16:
      return "ShortStorage";
    case DType::kI32:
      return "IntStorage";
    case DType::kI64:
      return "LongStorage";
    case DType::kBool:
      return "BoolStorage";
  }
  return "FloatStorage";
}

}  // namespace

void PickleWriter::little(uint64_t value, int size) {
  for (int i = 0; i < size; ++i) put(char(value >> (8 * i) & 0xff));
}

void PickleWriter::integer(int64_t value) {
  if (value >= 0 && value <= 0xff) {
    put('K');
    little(uint64_t(value), 1);
  } else if (value >= 0 && value <= 0xffff) {
    put('M');
    little(uint64_t(value), 2);
  } else if (value >= std::numeric_limits<int32_t>::min() && value <= std::numeric_limits<int32_t>::max()) {
    put('J');
    little(uint64_t(value), 4);
  } else {
    put('\x8a');
    little(8, 1);
    little(uint64_t(value), 8);
  }
}

void PickleWriter::number(double value) {
  put('G');
  const auto bits = std::bit_cast<uint64_t>(value);
  for (int i = 7; i >= 0; --i) put(char(bits >> (8 * i) & 0xff));
}

void PickleWriter::string(std::string_view text) {
  MTYOLO_CHECK(text.size() <= std::numeric_limits<uint32_t>::max(), "pickle: a text of {} bytes",
               text.size());
  put('X');
  little(text.size(), 4);
  bytes_ += text;
}

void PickleWriter::global(std::string_view module, std::string_view name) {
  put('c');
  bytes_ += module;
  put('\n');
  bytes_ += name;
  put('\n');
}

void PickleWriter::dims(const Dims& dims) {
  if (dims.rank() == 0) return put(')');
  put('(');
  for (const int64_t d : dims) integer(d);
  put('t');
}

void PickleWriter::tensor(const Tensor& tensor) {
  const Tensor t = tensor.contiguous();
  global("torch._utils", "_rebuild_tensor_v2");
  bytes_ += "((";
  string("storage");
  global("torch", storage_class(t.dtype()));
  string(std::to_string(storages_.size()));
  string("cpu");
  integer(t.numel());
  bytes_ += "tQ";
  integer(0);
  dims(t.shape());
  dims(contiguous_strides(t.shape()));
  boolean(false);
  global("collections", "OrderedDict");
  bytes_ += ")RtR";
  storages_.push_back(t);
}

void PickleWriter::document(const Document& d) {
  if (d.is_list()) {
    begin_list();
    for (const Document& item : d.items) document(item);
    return end_list();
  }
  if (d.is_map()) {
    begin_dict();
    for (const auto& [key, value] : d.fields) {
      string(key);
      document(value);
    }
    return end_dict();
  }
  const PlainValue v = plain_value(d);
  switch (v.kind) {
    case PlainKind::kNull:
      return none();
    case PlainKind::kBool:
      return boolean(v.boolean);
    case PlainKind::kInt:
      return integer(v.integer);
    case PlainKind::kDouble:
      return number(v.number);
    case PlainKind::kText:
      return string(d.text);
  }
}

}  // namespace mtyolo::models
