// Documents as JSON text, for the metadata of safetensors and ONNX files.
#pragma once

#include <string>
#include <string_view>

#include "core/document.h"

namespace mtyolo::models {

// Plain scalars become null, true, false and numbers where YAML would read them so, else strings.
std::string document_to_json(const Document& document);
// Throws Error{kModel, "metadata"}: invalid JSON, a repeated key, more than 64 levels.
Document document_from_json(std::string_view json);

// The kind of value that plain text in a YAML file stands for.
enum class PlainKind : uint8_t { kNull, kBool, kInt, kDouble, kText };
struct PlainValue {
  PlainKind kind = PlainKind::kText;
  bool boolean = false;
  int64_t integer = 0;
  double number = 0;
};
PlainValue plain_value(const Document& scalar);

}  // namespace mtyolo::models
