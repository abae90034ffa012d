// --config FILE.yaml: a map of flags, in any spelling the command line takes. The command line wins.
#include <algorithm>

#include "cli/options.h"
#include "core/document.h"
#include "core/yaml.h"

namespace mtyolo::cli {
namespace {

// The setting a key of the file stands for; errors name its line.
std::vector<std::string> words_of(const std::string& key, const Document& value) {
  if (value.is_null()) return {""};
  if (value.is_scalar()) return {value.text};
  if (!value.is_list())
    throw document_error(value, fmt::format("{} is a map, expected text or a list", mtyolo::quoted(key)));
  std::vector<std::string> words;
  for (const Document& item : value.items) words.push_back(item.as_text(key));
  return words;
}

Setting read_setting(const std::string& key, const Document& value, const ArgTable& table) {
  Setting s = resolve_flag(key, table);
  const FlagSpec* spec = find_flag(table, s.flag);
  if (spec != nullptr && spec->kind == FlagKind::kSwitch) {
    if (!value.as_bool(key)) s.values = {s.values[0] == "true" ? "false" : "true"};
  } else if (s.values.empty()) {
    s.values = words_of(key, value);
    if (spec != nullptr && spec->kind == FlagKind::kList && value.is_scalar())
      s.values = split_list(value.text);
    if (spec != nullptr && spec->kind != FlagKind::kList && s.values.size() != 1)
      throw document_error(value, fmt::format("{} is a list, expected one value", mtyolo::quoted(key)));
  } else if (!value.as_bool(key)) {  // a shorthand such as `half: false` leaves its flag alone
    s.flag.clear();
  }
  return s;
}

Document read_config(const std::string& path) {
  try {
    return read_yaml(path);
  } catch (const Error& e) {  // a missing file is a mistake of the command line here
    ErrorInfo info = e.info();
    info.exit = ExitCode::kUsage;
    throw Error(info);
  }
}

}  // namespace

void Options::add_config_file(NormalArgs& args) const {
  const auto is_config = [](const Setting& s) { return s.flag == "config"; };
  const auto config = std::find_if(args.settings.rbegin(), args.settings.rend(), is_config);
  if (config == args.settings.rend()) return;
  const std::string path = config->values[0];
  const Document document = read_config(path);
  if (!document.is_map()) throw document_error(document, "expected a map of flags").in_file(path);
  const bool positionals_given = !args.positionals.empty();
  std::vector<Setting> settings;
  for (const auto& [key, value] : document.fields) {
    try {
      Setting s = read_setting(key, value, table_);
      const auto same = [&](const Setting& other) { return other.flag == s.flag; };
      if (s.flag == "config") throw document_error(value, "a flag file cannot name another one");
      if (s.flag.empty() || std::any_of(args.settings.begin(), args.settings.end(), same)) continue;
      if (find_flag(table_, s.flag) != nullptr) settings.push_back(std::move(s));
      else if (!positionals_given)
        args.positionals.insert(args.positionals.end(), s.values.begin(), s.values.end());
    } catch (const Error& e) {
      ErrorInfo info = e.info();
      if (info.where.empty() && value.line > 0) info.where = fmt::format("line {}", value.line);
      throw Error(info).in_file(path);
    }
  }
  args.settings.insert(args.settings.begin(), settings.begin(), settings.end());
}

}  // namespace mtyolo::cli
