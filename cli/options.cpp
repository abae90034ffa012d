#include "cli/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <utility>

#include "core/error.h"
#include "core/text.h"

namespace mtyolo::cli {
namespace {

constexpr int kMaxImageSize = 16384;

// Spellings of yolov7 and ultralytics, known where a verb has the flag.
const std::vector<std::pair<std::string, std::string>> kSharedAliases{
    {"imgsz", "img-size"}, {"batch", "batch-size"}, {"conf", "conf-thres"},
    {"iou", "iou-thres"},  {"model", "weights"},
};

template <class T>
void set_number(const std::string& name, const std::string& text, T low, T high, T& value) {
  const auto parsed = [&] {
    if constexpr (std::is_floating_point_v<T>) return parse_double(trim(text));
    else return parse_int(trim(text));
  }();
  if (!parsed || *parsed < low || *parsed > high)
    fail(ExitCode::kUsage, "usage", "--{} is {}, expected a {}number in {}..{}", name, mtyolo::quoted(text),
         std::is_integral_v<T> ? "whole " : "", low, high);
  value = T(*parsed);
}

std::string shown_bool(bool on) { return on ? "on" : ""; }

}  // namespace

Options::Options(const std::string& verb, const std::string& summary)
    : app_(std::make_unique<CLI::App>(summary, "mtyolo " + verb)) {
  table_.verb = verb;
  for (const auto& [spelling, flag] : kSharedAliases) alias(spelling, flag);
  shorthand("half", "dtype", "fp16");
  app_->get_formatter()->column_width(34);
  app_->set_help_flag();  // parse() answers --help itself, whatever else is on the line
}

Options::~Options() = default;

CLI::Option* Options::add(const FlagSpec& spec, const Apply& apply, const std::string& shown,
                          const std::string& help) {
  table_.flags.push_back(spec);
  CLI::Option* option = app_->add_option_function<std::string>("--" + spec.name, apply, help);
  option->group(group_)->take_last();
  if (!shown.empty()) option->default_str(shown);
  return option;
}

void Options::positional(const Positional& spec, std::string& value) {
  positional_ = spec;
  most_positionals_ = 1;
  take_positionals_ = [&value](const std::vector<std::string>& words) { value = words[0]; };
  table_.positional_flags = spec.flags;
  app_->add_option(spec.name, value, spec.help)->type_name("");
}

void Options::positionals(const Positional& spec, std::vector<std::string>& values) {
  positional_ = spec;
  most_positionals_ = std::numeric_limits<size_t>::max();
  take_positionals_ = [&values](const std::vector<std::string>& words) { values = words; };
  table_.positional_flags = spec.flags;
  app_->add_option(spec.name, values, spec.help)->type_name("");
}

void Options::toggle(const std::string& name, bool& value, const std::string& help) {
  const std::string text = value ? fmt::format("{} (--no-{} turns it off)", help, name) : help;
  add(
      {name, FlagKind::kSwitch}, [&value](const std::string& s) { value = s == "true"; }, shown_bool(value),
      text)
      ->type_name("");
}

void Options::text(const std::string& name, std::string& value, const std::string& help) {
  add(
      {name, FlagKind::kValue}, [&value](const std::string& s) { value = s; }, value, help);
}

void Options::optional_text(const std::string& name, std::string& value, const std::string& help) {
  add(
      {name, FlagKind::kOptional}, [&value](const std::string& s) { value = s; }, value, help);
}

void Options::integer(const std::string& name, int& value, int low, int high, const std::string& help) {
  add(
      {name, FlagKind::kValue},
      [name, low, high, &value](const std::string& s) { set_number(name, s, low, high, value); },
      std::to_string(value), help)
      ->type_name("N");
}

void Options::integer(const std::string& name, int64_t& value, int64_t low, int64_t high,
                      const std::string& help) {
  add(
      {name, FlagKind::kValue},
      [name, low, high, &value](const std::string& s) { set_number(name, s, low, high, value); },
      std::to_string(value), help)
      ->type_name("N");
}

void Options::real(const std::string& name, double& value, double low, double high, const std::string& help) {
  add(
      {name, FlagKind::kValue},
      [name, low, high, &value](const std::string& s) { set_number(name, s, low, high, value); },
      fmt::format("{}", value), help)
      ->type_name("X");
}

void Options::choice(const std::string& name, std::string& value, const std::vector<std::string>& allowed,
                     const std::string& help) {
  const auto apply = [name, allowed, &value](const std::string& s) {
    if (std::find(allowed.begin(), allowed.end(), s) == allowed.end())
      fail(ExitCode::kUsage, "usage", "--{} is {}, expected {}{}", name, mtyolo::quoted(s),
           fmt::join(allowed, ", "), did_you_mean(s, allowed));
    value = s;
  };
  add({name, FlagKind::kValue}, apply, value, help)->type_name(fmt::format("{}", fmt::join(allowed, "|")));
}

void Options::list(const std::string& name, std::vector<std::string>& values, const std::string& help) {
  table_.flags.push_back({name, FlagKind::kList});
  const auto apply = [&values](const std::vector<std::string>& items) { values = items; };
  CLI::Option* option = app_->add_option_function<std::vector<std::string>>("--" + name, apply, help);
  option->group(group_)->type_name("A,B,...")->expected(1)->take_all();
  if (!values.empty()) option->default_str(fmt::format("{}", fmt::join(values, ",")));
}

void Options::image_size(const std::string& name, int& value, const std::string& help) {
  add(
      {name, FlagKind::kImageSize},
      [name, &value](const std::string& s) { set_number(name, s, 32, kMaxImageSize, value); },
      std::to_string(value), help)
      ->type_name("N");
}

void Options::alias(const std::string& spelling, const std::string& flag) { table_.aliases[spelling] = flag; }

void Options::shorthand(const std::string& spelling, const std::string& flag, const std::string& value) {
  table_.shorthands[spelling] = {flag, value};
}

void Options::group(const std::string& headline) { group_ = headline; }

std::string Options::help() const { return app_->help(); }

void Options::check_positionals(const std::vector<std::string>& words) const {
  if (words.empty() && most_positionals_ > 0 && positional_.required)
    throw Error(
        {ExitCode::kUsage,
         "usage",
         fmt::format("{}: {} is missing", table_.verb, positional_.name),
         {},
         {},
         fmt::format("write mtyolo {} {} ...; if a list such as --classes stands before it, separate the "
                     "list with commas",
                     table_.verb, positional_.name)});
  if (words.size() > most_positionals_)
    throw Error({ExitCode::kUsage,
                 "usage",
                 fmt::format("{}: unexpected {}", table_.verb, mtyolo::quoted(words[most_positionals_])),
                 {},
                 {},
                 fmt::format("mtyolo {} --help shows what it takes", table_.verb)});
}

bool Options::parse(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word == "--") break;
    if (word == "--help" || word == "-h") return false;
  }
  NormalArgs args = normalise(words, table_);
  add_config_file(args);
  notes_ = args.notes;
  check_positionals(args.positionals);
  // Not through CLI11, which would read the name [ab].jpg as a list.
  if (!args.positionals.empty()) take_positionals_(args.positionals);
  // CLI11 takes the words from the back. The values are separate words, so that an empty one stays one.
  std::vector<std::string> normal;
  for (const Setting& s : args.settings) {
    given_.insert(s.flag);
    for (const std::string& value : s.values) normal.insert(normal.end(), {"--" + s.flag, value});
  }
  std::reverse(normal.begin(), normal.end());
  try {
    app_->parse(std::move(normal));
  } catch (const CLI::ParseError& e) {
    fail(ExitCode::kUsage, "usage", "{}: {}", table_.verb, e.what());
  }
  return true;
}

}  // namespace mtyolo::cli
