// The flags of one verb: names, types, ranges, defaults and help, over CLI11. The value a variable has when
// it is registered is the default that --help shows.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cli/args.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace mtyolo::cli {

class Options {
 public:
  Options(const std::string& verb, const std::string& summary);
  ~Options();
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  // Words without a flag. `flags` are spellings that mean the same ("source"). A required one that is missing
  // is refused by name.
  struct Positional {
    std::string name, help;
    bool required = true;
    std::vector<std::string> flags{"source"};
  };
  void positional(const Positional& spec, std::string& value);
  void positionals(const Positional& spec, std::vector<std::string>& values);

  // Flags. Names have no leading dashes. A number outside low..high is refused with both.
  void toggle(const std::string& name, bool& value, const std::string& help);  // on by default: --no-NAME
  void text(const std::string& name, std::string& value, const std::string& help);
  // A flag that may stand alone; given() tells that from not being there.
  void optional_text(const std::string& name, std::string& value, const std::string& help);
  void integer(const std::string& name, int& value, int low, int high, const std::string& help);
  void integer(const std::string& name, int64_t& value, int64_t low, int64_t high, const std::string& help);
  void real(const std::string& name, double& value, double low, double high, const std::string& help);
  void choice(const std::string& name, std::string& value, const std::vector<std::string>& allowed,
              const std::string& help);
  void list(const std::string& name, std::vector<std::string>& values, const std::string& help);
  void image_size(const std::string& name, int& value, const std::string& help);

  // `spelling` means `flag`; an exact alias beats a prefix. The spellings every verb shares (imgsz, batch,
  // conf, iou, model, half) are known for the flags a verb has.
  void alias(const std::string& spelling, const std::string& flag);
  // `spelling` means `flag` with `value`: shorthand("adam", "optimizer", "adam").
  void shorthand(const std::string& spelling, const std::string& flag, const std::string& value);
  // Headline of the flags registered from here on, in --help.
  void group(const std::string& headline);

  // Fills the variables. Flags of the file named by --config come first, the command line wins. Returns false
  // when
  // --help was asked for. Throws Error{kUsage}.
  bool parse(const std::vector<std::string>& words);
  bool given(const std::string& name) const { return given_.contains(name); }  // by command line or file
  std::string help() const;
  const std::vector<std::string>& notes() const { return notes_; }  // spellings accepted without effect
  const ArgTable& table() const { return table_; }

 private:
  using Apply = std::function<void(const std::string&)>;
  CLI::Option* add(const FlagSpec& spec, const Apply& apply, const std::string& shown,
                   const std::string& help);
  void add_config_file(NormalArgs& args) const;
  void check_positionals(const std::vector<std::string>& words) const;

  std::unique_ptr<CLI::App> app_;
  ArgTable table_;
  std::string group_ = "Options";
  std::set<std::string> given_;
  std::vector<std::string> notes_;
  Positional positional_;
  size_t most_positionals_ = 0;
  std::function<void(const std::vector<std::string>&)> take_positionals_;
};

}  // namespace mtyolo::cli
