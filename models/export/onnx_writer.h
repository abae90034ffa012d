// Builds an ONNX model node by node; the only place that knows the protobuf classes. Internal to
// models/export.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/tensor.h"

namespace onnx {
class ModelProto;
}

namespace mtyolo::models {

class OnnxWriter {
 public:
  using Attribute = std::pair<std::string, std::variant<int64_t, float, std::string, std::vector<int64_t>>>;

  explicit OnnxWriter(int opset);
  ~OnnxWriter();
  OnnxWriter(const OnnxWriter&) = delete;
  OnnxWriter& operator=(const OnnxWriter&) = delete;

  void input(const std::string& name, const Shape& shape);
  void output(const std::string& name, const Shape& shape);
  void metadata(const std::string& key, const std::string& text);

  // Stores `value` (f32 or i64, contiguous); the returned name is `name`, numbered if it is taken.
  std::string constant(const std::string& name, const Tensor& value);
  // Appends a node and returns the name of its value, which is also the node's: `name`, numbered if it is
  // taken.
  std::string node(const std::string& op, const std::string& name, const std::vector<std::string>& inputs,
                   const Shape& shape, const std::vector<Attribute>& attributes = {});

  void save(const std::string& path);

 private:
  std::string unique(const std::string& name);
  std::unique_ptr<onnx::ModelProto> model_;
  std::set<std::string> taken_;
};

}  // namespace mtyolo::models
