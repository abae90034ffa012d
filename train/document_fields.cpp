#include "train/document_fields.h"

#include <cmath>

namespace mtyolo::train {

Document to_field(double v) {
  MTYOLO_CHECK(std::isfinite(v), "a number that is not finite cannot be kept");
  std::string text = fmt::format("{}", v);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return Document::scalar(std::move(text));
}

void from_field(const Document& d, const std::string& name, std::string& v) { v = d.as_text(name); }
void from_field(const Document& d, const std::string& name, bool& v) { v = d.as_bool(name); }

void from_field(const Document& d, const std::string& name, int& v) {
  v = int(d.as_int(name, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()));
}

void from_field(const Document& d, const std::string& name, int64_t& v) {
  v = d.as_int(name, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max());
}

void from_field(const Document& d, const std::string& name, double& v) {
  v = d.as_double(name, std::numeric_limits<double>::lowest(), std::numeric_limits<double>::max());
}

}  // namespace mtyolo::train
