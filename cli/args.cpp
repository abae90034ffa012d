#include "cli/args.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "core/error.h"
#include "core/text.h"

namespace mtyolo::cli {
namespace {

// yolov7 flags that have no meaning here; scripts keep working. The first one takes a number.
const std::set<std::string> kWithoutEffect{"local-rank", "no-trace", "quad", "view-img"};
constexpr int64_t kSmallestImageSize = 32;

[[noreturn]] void fail_usage(std::string message, std::string suggestion = {}) {
  throw Error({ExitCode::kUsage, "usage", std::move(message), {}, {}, std::move(suggestion)});
}

std::string with_dashes(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

// Every spelling of `table`, each with the flag, switch-off or shorthand it leads to.
std::map<std::string, std::string> spellings(const ArgTable& table) {
  std::map<std::string, std::string> all;
  for (const FlagSpec& f : table.flags) all[f.name] = f.name;
  for (const auto& [alias, flag] : table.aliases)
    if (find_flag(table, flag) != nullptr) all[alias] = flag;
  for (const auto& [name, meaning] : table.shorthands)
    if (find_flag(table, meaning.first) != nullptr) all[name] = name;
  for (const std::string& name : table.positional_flags) all[name] = name;
  for (const std::string& name : kWithoutEffect) all.emplace(name, name);
  return all;
}

// The whole name, else the one target whose spellings begin with `name`; nothing if there is none.
std::optional<std::string> match(const std::string& name, const std::map<std::string, std::string>& all,
                                 const std::string& typed) {
  const auto exact = all.find(name);
  if (exact != all.end()) return exact->second;
  std::set<std::string> targets;
  for (auto it = all.lower_bound(name); it != all.end() && it->first.starts_with(name); ++it)
    targets.insert(it->second);
  if (targets.size() > 1)
    fail_usage(fmt::format("--{} is ambiguous", typed),
               fmt::format("write one of --{}", fmt::join(targets, ", --")));
  if (targets.empty() || name.empty()) return std::nullopt;
  return *targets.begin();
}

// The longest candidate that `name` begins with (--confidence: conf), else the one with the most first
// letters shared.
std::string common_prefix_name(const std::string& name, const std::vector<std::string>& candidates) {
  constexpr size_t kSharedLetters = 3;
  std::string best;
  size_t longest = kSharedLetters - 1;
  for (const std::string& c : candidates)
    if (c.size() >= kSharedLetters && c.size() > best.size() && name.starts_with(c)) best = c;
  if (!best.empty()) return best;
  for (const std::string& c : candidates) {
    const size_t shared =
        size_t(std::mismatch(name.begin(), name.end(), c.begin(), c.end()).first - name.begin());
    if (shared > longest) {
      longest = shared;
      best = c;
    }
  }
  return best;
}

[[noreturn]] void fail_unknown(const std::string& typed, const ArgTable& table) {
  std::vector<std::string> names;
  for (const auto& [name, flag] : spellings(table)) names.push_back(name);
  std::string near = nearest_name(with_dashes(typed), names);
  if (near.empty()) near = common_prefix_name(with_dashes(typed), names);
  fail_usage(fmt::format("{}: unknown flag {}", table.verb, mtyolo::quoted("--" + typed)),
             near.empty() ? fmt::format("mtyolo {} --help lists the flags", table.verb)
                          : fmt::format("did you mean '--{}'?", near));
}

bool parse_switch(const std::string& flag, const std::string& value) {
  const std::string lower = lower_case(value);
  for (const char* yes : {"true", "1", "yes", "on"})
    if (lower == yes) return true;
  for (const char* no : {"false", "0", "no", "off"})
    if (lower == no) return false;
  fail_usage(fmt::format("--{} is {}, expected true or false", flag, mtyolo::quoted(value)));
}

bool is_name(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto part = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  return !text.empty() && letter(text.front()) && std::all_of(text.begin(), text.end(), part);
}

// Walks the words once; `next_` is the first one not yet used.
class Reader {
 public:
  Reader(const std::vector<std::string>& words, const ArgTable& table) : words_(words), table_(table) {}

  NormalArgs read() {
    while (next_ < words_.size()) {
      const std::string& word = words_[next_++];
      if (word == "--") {
        out_.positionals.insert(out_.positionals.end(), words_.begin() + long(next_), words_.end());
        break;
      }
      if (word.size() > 1 && word[0] == '-' && !parse_double(word)) {
        read_flag(word.substr(word[1] == '-' ? 2 : 1));
      } else if (is_assignment(word)) {
        read_flag(word);
      } else {
        out_.positionals.push_back(word);
      }
    }
    return std::move(out_);
  }

 private:
  // `key=value` names a flag unless a file of that name exists.
  static bool is_assignment(const std::string& word) {
    const size_t equals = word.find('=');
    std::error_code ignored;
    return equals != std::string::npos && is_name(std::string_view(word).substr(0, equals)) &&
           !std::filesystem::exists(word, ignored);
  }
  static bool is_flag(const std::string& word) { return word.size() > 2 && word.starts_with("--"); }

  void read_flag(const std::string& word) {
    const size_t equals = word.find('=');
    const std::string typed = word.substr(0, equals);
    std::optional<std::string> given;
    if (equals != std::string::npos) given = word.substr(equals + 1);
    Setting s = resolve_flag(typed, table_);
    if (kWithoutEffect.contains(s.flag) && find_flag(table_, s.flag) == nullptr) {
      if (s.flag == "local-rank" && !given && next_ < words_.size() && parse_int(words_[next_])) ++next_;
      out_.notes.push_back("--" + typed);
      return;
    }
    const auto& names = table_.positional_flags;
    if (std::find(names.begin(), names.end(), s.flag) != names.end()) {
      const auto values = take_values(typed, given, true);
      out_.positionals.insert(out_.positionals.end(), values.begin(), values.end());
      return;
    }
    fill(s, typed, given);
    out_.settings.push_back(std::move(s));
  }

  void fill(Setting& s, const std::string& typed, const std::optional<std::string>& given) {
    const FlagKind kind = find_flag(table_, s.flag)->kind;
    if (!s.values.empty()) {  // a switch, or a shorthand: a given true keeps it, false turns it round
      if (!given || parse_switch(typed, *given)) return;
      if (kind != FlagKind::kSwitch) fail_usage(fmt::format("--{} takes no value", typed));
      s.values[0] = s.values[0] == "true" ? "false" : "true";
    } else if (kind == FlagKind::kList) {
      for (const std::string& word : take_values(typed, given, false))
        for (std::string& item : split_list(word)) s.values.push_back(std::move(item));
    } else if (kind == FlagKind::kOptional) {
      const bool none = next_ == words_.size() || is_flag(words_[next_]) || is_assignment(words_[next_]);
      s.values.push_back(given ? *given : none ? "" : words_[next_++]);
    } else {
      s.values.push_back(given ? *given : take_value(typed));
      if (kind == FlagKind::kImageSize && !given) drop_second_size(s.values[0]);
    }
  }

  std::string take_value(const std::string& typed) {
    if (next_ == words_.size() || is_flag(words_[next_]))
      fail_usage(fmt::format("--{} needs a value", typed));
    return words_[next_++];
  }

  // `whole` keeps words with commas as they are and lets them follow each other; else a word with a comma
  // inside is the whole list.
  std::vector<std::string> take_values(const std::string& typed, const std::optional<std::string>& given,
                                       bool whole) {
    if (given) return {*given};
    std::vector<std::string> values{take_value(typed)};
    const auto open = [&] {
      const std::string& last = values.back();
      return whole || last.find(',') == std::string::npos || last.back() == ',';
    };
    while (next_ < words_.size() && open() && !is_flag(words_[next_]) && !is_assignment(words_[next_]))
      values.push_back(words_[next_++]);
    return values;
  }

  // yolov7 gives a size for training and one for testing: `--img 640 640`.
  void drop_second_size(const std::string& first) {
    if (next_ == words_.size()) return;
    const auto a = parse_int(first), b = parse_int(words_[next_]);
    if (!a || !b || *b < kSmallestImageSize) return;
    if (*a != *b)
      fail_usage(fmt::format("--img-size is given {} and {}, expected one size", *a, *b),
                 "training and testing run at one size; pictures keep their shape, so give the longer side");
    ++next_;
  }

  const std::vector<std::string>& words_;
  const ArgTable& table_;
  size_t next_ = 0;
  NormalArgs out_;
};

}  // namespace

const FlagSpec* find_flag(const ArgTable& table, const std::string& name) {
  const auto it =
      std::find_if(table.flags.begin(), table.flags.end(), [&](const auto& f) { return f.name == name; });
  return it == table.flags.end() ? nullptr : &*it;
}

std::vector<std::string> split_list(const std::string& text) {
  std::string_view body = trim(text);
  if (body.size() >= 2 && body.front() == '[' && body.back() == ']') body = body.substr(1, body.size() - 2);
  std::vector<std::string> items;
  for (const std::string_view part : split(body, ','))
    if (!trim(part).empty()) items.emplace_back(trim(part));
  return items;
}

Setting resolve_flag(const std::string& typed, const ArgTable& table) {
  const std::string name = with_dashes(typed);
  const auto all = spellings(table);
  std::optional<std::string> target;
  bool off = false;
  if (!all.contains(name) &&
      name.starts_with("no-")) {  // --no-rect; a whole name such as --no-trace goes first
    std::map<std::string, std::string> switches;
    for (const auto& [spelling, flag] : all) {
      const FlagSpec* spec = find_flag(table, flag);
      if (spec != nullptr && spec->kind == FlagKind::kSwitch) switches[spelling] = flag;
    }
    target = match(name.substr(3), switches, typed);
    off = target.has_value();
  }
  if (!target) target = match(name, all, typed);
  if (!target) fail_unknown(typed, table);
  const auto shorthand = table.shorthands.find(*target);
  if (shorthand != table.shorthands.end()) return {shorthand->second.first, {shorthand->second.second}};
  const FlagSpec* spec = find_flag(table, *target);
  if (spec != nullptr && spec->kind == FlagKind::kSwitch) return {*target, {off ? "false" : "true"}};
  return {*target, {}};
}

NormalArgs normalise(const std::vector<std::string>& args, const ArgTable& table) {
  return Reader(args, table).read();
}

}  // namespace mtyolo::cli
