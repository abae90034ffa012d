#include "models/export/onnx_file.h"

#include <bit>
#include <cstring>

#include "core/checked.h"
#include "core/file.h"
#include "models/export/protobuf_reader.h"

namespace mtyolo::models {
namespace {

using Field = ProtobufReader::Field;
using Kind = Field::Kind;

// Numbers of fields and element types: onnx.proto (IR version 7), the message's name stands in each function.
constexpr uint64_t kFloat = 1, kInt64 = 7;
constexpr uint64_t kExternal = 1;  // TensorProto.DataLocation

[[noreturn]] void refuse(const Field& at, const std::string& what) {
  throw Error({ExitCode::kModel, "onnx", what, {}, fmt::format("byte {}", at.position), {}});
}

class OnnxParser {
 public:
  OnnxModel model(std::span<const std::byte> bytes);

 private:
  // Counts what is about to be stored, so that a small file cannot become a large object.
  void count(const Field& field) {
    if (++items_ > kMaxOnnxItems) refuse(field, fmt::format("more than {} items", kMaxOnnxItems));
  }
  std::string text(const Field& field) {
    ProtobufReader::expect(field, Kind::kBytes);
    count(field);
    return std::string(field.text());
  }
  static uint64_t varint(const Field& field) {
    ProtobufReader::expect(field, Kind::kVarint);
    return field.value;
  }

  // Appends the numbers of a repeated field, packed or single.
  void ints(const Field& field, std::vector<int64_t>& values) {
    if (field.kind != Kind::kBytes) {
      count(field);
      values.push_back(int64_t(varint(field)));
      return;
    }
    for (ProtobufReader list(field); !list.at_end();) {
      count(field);
      values.push_back(int64_t(list.varint()));
    }
  }
  void floats(const Field& field, std::vector<float>& values) {
    if (field.kind != Kind::kBytes) {
      ProtobufReader::expect(field, Kind::kFixed32);
      count(field);
      values.push_back(std::bit_cast<float>(uint32_t(field.value)));
      return;
    }
    for (ProtobufReader list(field); !list.at_end();) {
      count(field);
      values.push_back(list.number<float>());
    }
  }

  void opset(const Field& message);
  void entry(const Field& message);
  void graph(const Field& message);
  OnnxNode node(const Field& message);
  void attribute(const Field& message, OnnxNode& owner);
  void initializer(const Field& message);
  Tensor tensor(const Field& message, std::string& name);
  OnnxValue value(const Field& message);
  Shape tensor_type(const Field& message);
  int64_t dimension(const Field& message);

  OnnxModel model_;
  std::vector<OnnxValue> inputs_;
  size_t items_ = 0;
  bool has_graph_ = false;
};

OnnxModel OnnxParser::model(std::span<const std::byte> bytes) {
  ProtobufReader reader(bytes);
  while (const auto f = reader.next()) {  // ModelProto
    if (f->number == 1) model_.ir_version = int64_t(varint(*f));
    if (f->number == 7) graph(*f);
    if (f->number == 8) opset(*f);
    if (f->number == 14) entry(*f);
  }
  if (!has_graph_) ProtobufReader::refuse(bytes.size(), "it has no graph");
  if (model_.opset < 1) ProtobufReader::refuse(bytes.size(), "it names no operator set");
  for (OnnxValue& input : inputs_)
    if (!model_.constants.contains(input.name)) model_.inputs.push_back(std::move(input));
  return std::move(model_);
}

void OnnxParser::opset(const Field& message) {  // OperatorSetIdProto
  std::string domain;
  int64_t version = 0;
  ProtobufReader reader(message);
  while (const auto f = reader.next()) {
    if (f->number == 1) domain = text(*f);
    if (f->number == 2) version = int64_t(varint(*f));
  }
  if (domain.empty() || domain == "ai.onnx") model_.opset = version;
}

void OnnxParser::entry(const Field& message) {  // StringStringEntryProto
  std::string key, content;
  ProtobufReader reader(message);
  count(message);
  while (const auto f = reader.next()) {
    if (f->number == 1) key = text(*f);
    if (f->number == 2) content = text(*f);
  }
  model_.metadata[key] = content;
}

void OnnxParser::graph(const Field& message) {  // GraphProto
  if (has_graph_) refuse(message, "a second graph");
  has_graph_ = true;
  ProtobufReader reader(message);
  while (const auto f = reader.next()) {
    if (f->number == 1) model_.nodes.push_back(node(*f));
    if (f->number == 5) initializer(*f);
    if (f->number == 11) inputs_.push_back(value(*f));
    if (f->number == 12) model_.outputs.push_back(value(*f));
    if (f->number == 15) refuse(*f, "sparse tensors are not read");
  }
}

OnnxNode OnnxParser::node(const Field& message) {  // NodeProto
  OnnxNode node;
  std::string domain;
  count(message);
  ProtobufReader reader(message);
  while (const auto f = reader.next()) {
    if (f->number == 1) node.inputs.push_back(text(*f));
    if (f->number == 2) node.outputs.push_back(text(*f));
    if (f->number == 3) node.name = text(*f);
    if (f->number == 4) node.op = text(*f);
    if (f->number == 5) attribute(*f, node);
    if (f->number == 7) domain = text(*f);
  }
  if (!domain.empty() && domain != "ai.onnx")
    refuse(message, fmt::format("node {} is of the operator domain {}, expected the standard one",
                                quoted(node.name), quoted(domain)));
  return node;
}

void OnnxParser::attribute(const Field& message, OnnxNode& owner) {  // AttributeProto
  std::string name;
  OnnxAttribute a;
  count(message);
  ProtobufReader reader(message);
  while (const auto f = reader.next()) {
    if (f->number == 1) name = text(*f);
    if (f->number == 2 || f->number == 7) floats(*f, a.floats);
    if (f->number == 3 || f->number == 8) ints(*f, a.ints);
    if (f->number == 4) a.text = text(*f);
    if (f->number == 5 || f->number == 6 || (f->number >= 9 && f->number <= 11))
      refuse(*f, fmt::format("attribute {}: tensors, graphs and lists of text are not read", quoted(name)));
  }
  if (!owner.attributes.emplace(name, std::move(a)).second)
    refuse(message, fmt::format("attribute {} stands twice", quoted(name)));
}

void OnnxParser::initializer(const Field& message) {
  std::string name;
  Tensor t = tensor(message, name);
  if (!model_.constants.emplace(name, std::move(t)).second)
    refuse(message, fmt::format("tensor {} stands twice", quoted(name)));
}

Tensor OnnxParser::tensor(const Field& message, std::string& name) {  // TensorProto
  std::vector<int64_t> dims;
  uint64_t type = 0;
  std::optional<Field> data;
  count(message);
  ProtobufReader reader(message);
  while (const auto f = reader.next()) {
    if (f->number == 1) ints(*f, dims);
    if (f->number == 2) type = varint(*f);
    if (f->number == 4 || f->number == 7) refuse(*f, "a tensor whose numbers are not raw data");
    if (f->number == 8) name = text(*f);
    if (f->number == 9) ProtobufReader::expect(*f, Kind::kBytes), data = f;
    if (f->number == 13 || (f->number == 14 && varint(*f) == kExternal))
      refuse(*f, fmt::format("tensor {} lies in another file; external data is not read", quoted(name)));
  }
  const auto bad = [&](const std::string& what) {
    refuse(message, fmt::format("tensor {}: {}", quoted(name), what));
  };
  if (type != kFloat && type != kInt64)
    bad(fmt::format("element type {}, expected float (1) or int64 (7)", type));
  if (dims.size() > size_t(kMaxRank))
    bad(fmt::format("{} dimensions, the limit is {}", dims.size(), kMaxRank));
  std::optional<uint64_t> bytes = type == kFloat ? 4 : 8;
  for (int64_t d : dims) {
    if (d < 0) bad(fmt::format("a dimension of {}", d));
    if (bytes) bytes = checked::mul(*bytes, uint64_t(d));
  }
  const size_t given = data ? data->bytes.size() : 0;
  if (!bytes || *bytes != given) bad(fmt::format("{} bytes of data do not fit its shape and type", given));
  Tensor t = Tensor::empty(Shape(std::span<const int64_t>(dims)), type == kFloat ? DType::kF32 : DType::kI64);
  if (given > 0) std::memcpy(t.raw(), data->bytes.data(), given);
  return t;
}

OnnxValue OnnxParser::value(const Field& message) {  // ValueInfoProto, then TypeProto
  OnnxValue v;
  bool has_type = false;
  count(message);
  ProtobufReader reader(message);
  while (const auto f = reader.next()) {
    if (f->number == 1) v.name = text(*f);
    if (f->number != 2) continue;
    ProtobufReader type(*f);
    while (const auto t = type.next()) {
      if (t->number != 1) continue;
      v.shape = tensor_type(*t);
      has_type = true;
    }
  }
  if (!has_type) refuse(message, fmt::format("{} is no tensor", quoted(v.name)));
  return v;
}

Shape OnnxParser::tensor_type(const Field& message) {  // TypeProto.Tensor, then TensorShapeProto
  Shape shape;
  uint64_t type = 0;
  ProtobufReader reader(message);
  while (const auto f = reader.next()) {
    if (f->number == 1) type = varint(*f);
    if (f->number != 2) continue;
    ProtobufReader dims(*f);
    while (const auto d = dims.next()) {
      if (d->number != 1) continue;
      if (shape.rank() == kMaxRank) refuse(*d, fmt::format("more than {} dimensions", kMaxRank));
      shape.push_back(dimension(*d));
    }
  }
  if (type != kFloat)
    refuse(message, fmt::format("an input or output of element type {}, expected float (1)", type));
  return shape;
}

int64_t OnnxParser::dimension(const Field& message) {  // TensorShapeProto.Dimension
  int64_t size = 0;
  ProtobufReader reader(message);
  while (const auto f = reader.next())
    if (f->number == 1) size = int64_t(varint(*f));
  if (size < 1) refuse(message, "a dimension without a fixed size");
  return size;
}

}  // namespace

OnnxModel parse_onnx(std::span<const std::byte> bytes) {
  if (bytes.size() > kMaxOnnxBytes)
    fail(ExitCode::kModel, "onnx", "{} bytes, an ONNX file has at most {}", bytes.size(), kMaxOnnxBytes);
  return OnnxParser().model(bytes);
}

OnnxModel read_onnx(const std::string& path) {
  const auto file = MappedFile::open(path);
  try {
    return parse_onnx(file->bytes());
  } catch (const Error& e) {
    throw e.in_file(path);
  }
}

}  // namespace mtyolo::models
