#include "models/export/onnx_writer.h"

#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <onnx/onnx_pb.h>

#include <bit>
#include <limits>

#include "core/file.h"

namespace mtyolo::models {
namespace {

// Raw tensor data is little-endian (onnx.proto, TensorProto.raw_data); it is written as it lies in memory.
static_assert(std::endian::native == std::endian::little, "ONNX export needs a little-endian machine");

constexpr int kIrVersion = 7;  // what operator set 12 came with; OpenCV 4.6 and ONNX Runtime read it

class FileStream : public google::protobuf::io::CopyingOutputStream {
 public:
  explicit FileStream(AtomicFile& file) : file_(file) {}
  bool Write(const void* bytes, int size) override {
    file_.write(std::span(static_cast<const std::byte*>(bytes), size_t(size)));
    return true;
  }

 private:
  AtomicFile& file_;
};

void describe(onnx::ValueInfoProto& info, const std::string& name, const Shape& shape) {
  info.set_name(name);
  auto* type = info.mutable_type()->mutable_tensor_type();
  type->set_elem_type(onnx::TensorProto::FLOAT);
  for (int64_t size : shape) type->mutable_shape()->add_dim()->set_dim_value(size);
  if (shape.rank() == 0) type->mutable_shape();
}

void fill(onnx::AttributeProto& to, int64_t value) {
  to.set_type(onnx::AttributeProto::INT);
  to.set_i(value);
}
void fill(onnx::AttributeProto& to, float value) {
  to.set_type(onnx::AttributeProto::FLOAT);
  to.set_f(value);
}
void fill(onnx::AttributeProto& to, const std::string& value) {
  to.set_type(onnx::AttributeProto::STRING);
  to.set_s(value);
}
void fill(onnx::AttributeProto& to, const std::vector<int64_t>& values) {
  to.set_type(onnx::AttributeProto::INTS);
  for (int64_t value : values) to.add_ints(value);
}

}  // namespace

OnnxWriter::OnnxWriter(int opset) : model_(std::make_unique<onnx::ModelProto>()) {
  model_->set_ir_version(kIrVersion);
  model_->set_producer_name("mtyolo");
  model_->mutable_graph()->set_name("mtyolo");
  auto* operators = model_->add_opset_import();
  operators->set_domain("");
  operators->set_version(opset);
}

OnnxWriter::~OnnxWriter() = default;

std::string OnnxWriter::unique(const std::string& name) {
  std::string free = name;
  for (int i = 2; !taken_.insert(free).second; ++i) free = fmt::format("{}_{}", name, i);
  return free;
}

void OnnxWriter::input(const std::string& name, const Shape& shape) {
  taken_.insert(name);
  describe(*model_->mutable_graph()->add_input(), name, shape);
}

void OnnxWriter::output(const std::string& name, const Shape& shape) {
  describe(*model_->mutable_graph()->add_output(), name, shape);
}

void OnnxWriter::metadata(const std::string& key, const std::string& text) {
  auto* entry = model_->add_metadata_props();
  entry->set_key(key);
  entry->set_value(text);
}

std::string OnnxWriter::constant(const std::string& name, const Tensor& value) {
  const std::string key = unique(name);
  auto* tensor = model_->mutable_graph()->add_initializer();
  tensor->set_name(key);
  tensor->set_data_type(value.dtype() == DType::kI64 ? onnx::TensorProto::INT64 : onnx::TensorProto::FLOAT);
  for (int64_t size : value.shape()) tensor->add_dims(size);
  tensor->set_raw_data(value.raw(), value.size_bytes());
  return key;
}

std::string OnnxWriter::node(const std::string& op, const std::string& name,
                             const std::vector<std::string>& inputs, const Shape& shape,
                             const std::vector<Attribute>& attributes) {
  const std::string key = unique(name);
  auto* node = model_->mutable_graph()->add_node();
  node->set_op_type(op);
  node->set_name(key);
  for (const std::string& input : inputs) node->add_input(input);
  node->add_output(key);
  for (const auto& [attribute, value] : attributes) {
    auto* to = node->add_attribute();
    to->set_name(attribute);
    std::visit([&](const auto& v) { fill(*to, v); }, value);
  }
  describe(*model_->mutable_graph()->add_value_info(), key, shape);
  return key;
}

void OnnxWriter::save(const std::string& path) {
  const size_t bytes = model_->ByteSizeLong();
  if (bytes > size_t(std::numeric_limits<int32_t>::max()))
    fail(ExitCode::kModel, "too_large", "the network takes {} bytes, an ONNX file holds at most 2 GiB",
         bytes);
  AtomicFile file(path);
  FileStream stream(file);
  google::protobuf::io::CopyingOutputStreamAdaptor adaptor(&stream);
  if (!model_->SerializeToZeroCopyStream(&adaptor) || !adaptor.Flush())
    fail(ExitCode::kRuntime, "file_write", "the ONNX model could not be serialised");
  file.commit();
}

}  // namespace mtyolo::models
