// What an ONNX file holds, read by an own reader of protobuf's wire format with the limits of reliability.md
// section 5: no recursion, every length checked, no external data. Independent of the libraries the exporter
// writes with.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace mtyolo::models {

inline constexpr size_t kMaxOnnxBytes = (size_t{1} << 31) - 1;
inline constexpr size_t kMaxOnnxItems =
    500'000;  // nodes, names, attributes and their numbers, tensors, entries

// One attribute of a node: the list of what it holds; single values are lists of one.
struct OnnxAttribute {
  std::vector<int64_t> ints;
  std::vector<float> floats;
  std::string text;
};

struct OnnxNode {
  std::string op, name;
  std::vector<std::string> inputs, outputs;  // an empty input name is an optional input left out
  std::map<std::string, OnnxAttribute> attributes;
};

// A graph input or output: f32 of a fixed shape.
struct OnnxValue {
  std::string name;
  Shape shape;
};

struct OnnxModel {
  int64_t ir_version = 0, opset = 0;
  std::vector<OnnxNode> nodes;
  std::map<std::string, Tensor> constants;  // initializers, f32 or i64
  std::vector<OnnxValue> inputs, outputs;   // inputs without those that are initializers
  std::map<std::string, std::string> metadata;
};

// Throws Error{kModel, "onnx"} that names the file and the byte where it is wrong, or what it uses that is
// not read: other element types, dimensions without a number, subgraphs, sparse or external tensors, other
// operator domains.
OnnxModel read_onnx(const std::string& path);
OnnxModel parse_onnx(std::span<const std::byte> bytes);

}  // namespace mtyolo::models
