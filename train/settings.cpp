#include "train/settings.h"

#include <limits>

#include "train/document_fields.h"

namespace mtyolo::train {

Document settings_to_document(const Settings& settings) {
  Document d = Document::map({});
  visit_settings(settings,
                 [&](const char* name, const auto& value, const auto&...) { put_field(d, name, value); });
  return d;
}

Settings settings_from_document(const Document& document) {
  Settings s;
  visit_settings(s,
                 [&](const char* name, auto& value, const auto&...) { take_field(document, name, value); });
  return s;
}

std::vector<std::string> settings_differences(const Settings& before, const Settings& after) {
  const Document a = settings_to_document(before), b = settings_to_document(after);
  const auto text = [](const Document& d) {
    std::string list;
    for (const Document& item : d.items) list += (list.empty() ? "" : ",") + item.text;
    return mtyolo::quoted(d.is_list() ? list : d.text);
  };
  std::vector<std::string> lines;
  for (size_t i = 0; i < a.fields.size(); ++i)
    if (text(a.fields[i].second) != text(b.fields[i].second))
      lines.push_back(
          fmt::format("{}: {} -> {}", a.fields[i].first, text(a.fields[i].second), text(b.fields[i].second)));
  return lines;
}

DType compute_type(const std::string& dtype) {
  if (dtype == "fp32") return DType::kF32;
  if (dtype == "bf16") return DType::kBF16;
  if (dtype == "fp16")
    fail(ExitCode::kUsage, "dtype",
         "--dtype fp16 needs a GPU, which this build cannot use; on the CPU training takes fp32 or bf16");
  fail(ExitCode::kUsage, "dtype", "--dtype is {}, expected fp32 or bf16", quoted(dtype));
}

}  // namespace mtyolo::train
