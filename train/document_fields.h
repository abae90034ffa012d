// Plain values as fields of a Document and back, bit for bit: what checkpoints hold beside tensors.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "core/document.h"

namespace mtyolo::train {

inline Document to_field(const std::string& v) { return Document::scalar(v, true); }
inline Document to_field(bool v) { return Document::scalar(v ? "true" : "false"); }
inline Document to_field(int v) { return Document::scalar(std::to_string(v)); }
inline Document to_field(int64_t v) { return Document::scalar(std::to_string(v)); }
// The shortest text that reads back as the same number, with a point or exponent so that it stays a float.
Document to_field(double v);
inline Document to_field(const Document& v) { return v; }
template <class T>
Document to_field(const std::vector<T>& values) {
  std::vector<Document> items;
  for (const T& v : values) items.push_back(to_field(v));
  return Document::list(std::move(items));
}

template <class T>
void put_field(Document& map, const std::string& name, const T& value) {
  map.fields.emplace_back(name, to_field(value));
}

// Each throws Error{"config"} that names the field when it holds something else.
void from_field(const Document& d, const std::string& name, std::string& v);
void from_field(const Document& d, const std::string& name, bool& v);
void from_field(const Document& d, const std::string& name, int& v);
void from_field(const Document& d, const std::string& name, int64_t& v);
void from_field(const Document& d, const std::string& name, double& v);
inline void from_field(const Document& d, const std::string&, Document& v) { v = d; }
template <class T>
void from_field(const Document& d, const std::string& name, std::vector<T>& values) {
  if (!d.is_list()) throw document_error(d, name + " is no list");
  values.assign(d.items.size(), {});
  for (size_t i = 0; i < values.size(); ++i) from_field(d.items[i], name, values[i]);
}

// Leaves `value` alone when the field is missing or null.
template <class T>
void take_field(const Document& map, const std::string& name, T& value) {
  const Document* field = map.find(name);
  if (field != nullptr && !field->is_null()) from_field(*field, name, value);
}

}  // namespace mtyolo::train
