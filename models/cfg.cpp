#include "models/cfg.h"

#include <algorithm>
#include <array>

#include "core/log.h"
#include "core/text.h"
#include "core/yaml.h"
#include "models/compact_cfg.h"
#include "models/shipped_cfgs.h"

namespace mtyolo::models {
namespace {

const Document& required(const Document& document, const std::string& key) {
  const Document* value = document.find(key);
  if (value == nullptr)
    throw document_error(document, fmt::format("no {}: is given, expected a model description", key));
  return *value;
}

// Python's literals as a row's args use them; other text is kept and looked up in tables by the modules.
CfgArg arg_from_document(const Document& d) {
  constexpr size_t kMaxText = 200;
  CfgArg arg;
  if (d.is_null()) return arg;
  if (d.is_list()) {
    arg.kind = CfgArg::Kind::kList;
    for (const Document& item : d.items) arg.items.push_back(arg_from_document(item));
    return arg;
  }
  const std::string text(trim(d.as_text("an argument")));
  if (text.size() > kMaxText)
    throw document_error(d, fmt::format("an argument of {} characters", text.size()));
  const auto value = parse_double(text);
  const std::string lower = lower_case(text);
  if (text == "None") return arg;
  if (lower == "true" || lower == "false") {
    arg.kind = CfgArg::Kind::kBool;
    arg.flag = lower == "true";
  } else if (value) {
    arg.kind = CfgArg::Kind::kNumber;
    arg.number = *value;
  } else {
    arg.kind = CfgArg::Kind::kText;
    arg.text = text;
  }
  return arg;
}

// graph.md 1: -1 is the row before, other negatives are relative, the rest absolute; Y7: backwards only.
int absolute_row(const Document& d, int index) {
  const int from = int(d.as_int(fmt::format("'from' of row {}", index), -kMaxCfgRows, kMaxCfgRows));
  const int row = from < 0 ? index + from : from;
  const bool image = index == 0 && from == -1;
  if (!image && (row < 0 || row >= index))
    throw document_error(d, fmt::format("row {} reads row {}, expected an earlier one", index, row));
  return row;
}

CfgRow row_from_document(const Document& d, int index) {
  if (!d.is_list() || d.items.size() != 4)
    throw document_error(d, fmt::format("row {} is not a list of four: [from, number, module, args]", index));
  CfgRow row;
  row.index = index;
  row.line = d.line;
  const Document& from = d.items[0];
  if (from.is_list()) {
    if (from.items.empty()) throw document_error(from, fmt::format("row {} reads nothing", index));
    for (const Document& f : from.items) row.from.push_back(absolute_row(f, index));
  } else {
    row.from.push_back(absolute_row(from, index));
  }
  row.repeats = int(d.items[1].as_int(fmt::format("the number of row {}", index), 1, kMaxRepeats));
  row.module = std::string(trim(d.items[2].as_text(fmt::format("the module of row {}", index))));
  if (!d.items[3].is_list())
    throw document_error(d.items[3], fmt::format("the args of row {} are not a list", index));
  for (const Document& arg : d.items[3].items) row.args.push_back(arg_from_document(arg));
  return row;
}

std::vector<std::vector<float>> anchors_from_document(const Document& d, const CfgRow& head) {
  if (d.is_scalar()) {  // a count: placeholders 0, 1, ... to be replaced by autoanchor
    const auto count = size_t(d.as_int("anchors", 1, kMaxAnchorsPerLevel));
    std::vector<float> level;
    for (size_t i = 0; i < 2 * count; ++i) level.push_back(float(i));
    const size_t inputs = head.from.size(), per_level = head.module == "IAuxDetect" ? 2 : 1;
    if (inputs < per_level || inputs % per_level != 0 || inputs > per_level * size_t(kMaxLevels))
      throw document_error(d, fmt::format("{} reads {} rows, expected {} for each of 1..{} levels of anchors",
                                          head.module, inputs, per_level, kMaxLevels));
    return std::vector(inputs / per_level, level);
  }
  if (!d.is_list() || d.items.empty() || d.items.size() > size_t(kMaxLevels))
    throw document_error(d, fmt::format("anchors are not a list of 1..{} levels", kMaxLevels));
  std::vector<std::vector<float>> anchors;
  for (const Document& level : d.items) {
    const size_t n = level.items.size();
    if (!level.is_list() || n == 0 || n % 2 != 0 || n > 2 * size_t(kMaxAnchorsPerLevel))
      throw document_error(level, "a level of anchors is not a list of pairs w,h");
    if (n != d.items[0].items.size())
      throw document_error(level, "the levels have different numbers of anchors");
    std::vector<float> values;
    for (const Document& v : level.items) values.push_back(float(v.as_double("an anchor", 0, 1e6)));
    anchors.push_back(std::move(values));
  }
  return anchors;
}

double multiple(const Document& document, const std::string& key) {
  const Document* value = document.find(key);
  if (value == nullptr) return 1;
  const double m = value->as_double(key, 0, 16);
  if (m <= 0) throw document_error(*value, fmt::format("{} is {}, expected above 0", key, m));
  return m;
}

void warn_of_unknown_keys(const Document& document, const std::string& source) {
  const std::vector<std::string> known{"nc",      "ch",       "depth_multiple", "width_multiple",
                                       "anchors", "backbone", "head",           "sharing"};
  for (const auto& [key, value] : document.fields)
    if (std::find(known.begin(), known.end(), key) == known.end())
      log::warning("{}: line {}: the key {} is not read{}", source, value.line, quoted(key),
                   did_you_mean(key, known));
}

Cfg official_cfg(const Document& document, const std::string& source) {
  if (!document.is_map())
    throw document_error(document, "not a model description: expected nc, anchors, backbone, head");
  Cfg cfg;
  cfg.source = source;
  cfg.document = document;
  cfg.document.file = source;
  cfg.nc = int(required(document, "nc").as_int("nc", 1, kMaxClasses));
  if (const Document* ch = document.find("ch")) cfg.channels = int(ch->as_int("ch", 1, 1024));
  cfg.depth_multiple = multiple(document, "depth_multiple");
  cfg.width_multiple = multiple(document, "width_multiple");
  for (const std::string key : {"backbone", "head"}) {
    const Document& rows = required(document, key);
    if (!rows.is_list()) throw document_error(rows, key + " is not a list of rows");
    if (cfg.rows.size() + rows.items.size() > size_t(kMaxCfgRows))
      throw document_error(rows, fmt::format("more than {} rows", kMaxCfgRows));
    for (const Document& row : rows.items) cfg.rows.push_back(row_from_document(row, int(cfg.rows.size())));
  }
  if (cfg.rows.empty()) throw document_error(document, "no rows");
  cfg.anchors = anchors_from_document(required(document, "anchors"), cfg.rows.back());
  if (const Document* sharing = document.find("sharing"))
    cfg.sharing = sharing_from_document(*sharing, int(cfg.rows.size()));
  warn_of_unknown_keys(document, source);
  return cfg;
}

void set_field(Document& map, const std::string& key, Document value) {
  for (auto& [name, old] : map.fields)
    if (name == key) {
      old = std::move(value);
      return;
    }
  map.fields.emplace_back(key, std::move(value));
}

Cfg cfg_in_form(const Document& document, const std::string& source, CfgForm form) {
  try {
    return official_cfg(is_compact_cfg(document) ? expand_compact_cfg(document, form) : document, source);
  } catch (const Error& e) {
    throw e.in_file(source);
  }
}

}  // namespace

Cfg cfg_from_document(const Document& document, const std::string& source) {
  return cfg_in_form(document, source, CfgForm::kTraining);
}

Cfg cfg_from_file(const std::string& path) {
  try {
    return cfg_from_document(read_yaml(path), path);
  } catch (const Error& e) {
    ErrorInfo info = e.info();
    if (info.exit == ExitCode::kRuntime) info.exit = ExitCode::kUsage;  // the file is not there, or no file
    throw Error(info);
  }
}

const std::vector<std::string>& shipped_cfg_names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const ShippedCfg& cfg : shipped_cfgs()) {
      names.emplace_back(cfg.name);
      const Document document = parse_yaml(cfg.text, std::string(cfg.name));
      const Document* head = document.find("head");
      if (head != nullptr && head->find("deploy") != nullptr) names.push_back(names.back() + "-deploy");
    }
    return names;
  }();
  return kNames;
}

Cfg shipped_cfg(const std::string& name) {
  const std::vector<std::string>& names = shipped_cfg_names();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    std::string list;
    for (const std::string& n : names) list += (list.empty() ? "" : ", ") + n;
    fail(ExitCode::kUsage, "config", "no cfg named {}{}; there are {}", quoted(name),
         did_you_mean(name, names), list);
  }
  constexpr std::string_view kDeploy = "-deploy";
  const bool deploy = std::string_view(name).ends_with(kDeploy);
  const std::string stem = deploy ? name.substr(0, name.size() - kDeploy.size()) : name;
  for (const ShippedCfg& cfg : shipped_cfgs())
    if (cfg.name == stem)
      return cfg_in_form(parse_yaml(cfg.text, stem), name, deploy ? CfgForm::kDeploy : CfgForm::kTraining);
  fail(ExitCode::kRuntime, "check", "the shipped cfg {} has no text", quoted(name));
}

Cfg cfg_by_name(const std::string& name_or_path) {
  const std::vector<std::string>& names = shipped_cfg_names();
  if (std::find(names.begin(), names.end(), name_or_path) != names.end()) return shipped_cfg(name_or_path);
  const bool path = name_or_path.find('/') != std::string::npos || name_or_path.ends_with(".yaml") ||
                    name_or_path.ends_with(".yml");
  return path ? cfg_from_file(name_or_path) : shipped_cfg(name_or_path);
}

Cfg with_classes(Cfg cfg, int nc) {
  if (nc < 1 || nc > kMaxClasses)
    fail(ExitCode::kUsage, "config", "{} classes, expected 1..{}", nc, kMaxClasses);
  cfg.nc = nc;
  set_field(cfg.document, "nc", Document::scalar(std::to_string(nc)));
  return cfg;
}

Cfg with_anchors(Cfg cfg, const std::vector<std::vector<float>>& anchors) {
  std::vector<Document> levels;
  for (const std::vector<float>& level : anchors) {
    std::vector<Document> values;
    for (const float v : level) values.push_back(Document::scalar(fmt::format("{}", v)));
    levels.push_back(Document::list(std::move(values)));
  }
  cfg.anchors = anchors;
  set_field(cfg.document, "anchors", Document::list(std::move(levels)));
  return cfg;
}

Cfg with_sharing(Cfg cfg, const Sharing& sharing) {
  check_sharing(sharing, int(cfg.rows.size()));
  cfg.sharing = sharing;
  if (sharing == Sharing{})
    std::erase_if(cfg.document.fields, [](const auto& field) { return field.first == "sharing"; });
  else set_field(cfg.document, "sharing", sharing_to_document(sharing));
  return cfg;
}

}  // namespace mtyolo::models
