// What users type, rewritten into one spelling (conventions.md section 1): unique prefixes, underscores for
// dashes, `key=value`, aliases, `--no-FLAG`, comma- and blank-separated lists, yolov7's `--img 640 640`.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace mtyolo::cli {

enum class FlagKind {
  kSwitch,     // --rect, --no-rect, rect=true
  kValue,      // one value
  kOptional,   // one value or none, which is the empty text
  kList,       // values up to the next flag; commas separate too
  kImageSize,  // one whole number, or the same number twice
};

struct FlagSpec {
  std::string name;  // "img-size", without the leading dashes
  FlagKind kind = FlagKind::kValue;
};

// The spellings one verb understands. Names are written without the leading dashes.
struct ArgTable {
  std::string verb;  // for messages
  std::vector<FlagSpec> flags;
  std::map<std::string, std::string> aliases;  // "imgsz" -> "img-size"
  // A spelling that stands for a flag with its value: "half" -> {"dtype", "fp16"}.
  std::map<std::string, std::pair<std::string, std::string>> shorthands;
  std::vector<std::string> positional_flags;  // "source": its values are positionals
};

// One flag with its values; a switch has the value "true" or "false".
struct Setting {
  std::string flag;
  std::vector<std::string> values;
};

struct NormalArgs {
  std::vector<Setting> settings;  // in the order given
  std::vector<std::string> positionals;
  std::vector<std::string> notes;  // spellings accepted without effect, as typed
};

// Throws Error{"usage", kUsage} that names the nearest valid flag when one is unknown or ambiguous, when a
// value is missing, or when `--img` is given two different numbers.
NormalArgs normalise(const std::vector<std::string>& args, const ArgTable& table);

// The flag a spelling stands for, with its value already filled in for a switch or a shorthand (`values` is
// empty where the value must follow). `typed` has no leading dashes. Throws like normalise.
Setting resolve_flag(const std::string& typed, const ArgTable& table);

const FlagSpec* find_flag(const ArgTable& table, const std::string& name);  // nullptr if there is none

// "a,b c" and "[a, b]" as {"a", "b c"}: split at commas, brackets and outer blanks removed, empty parts
// dropped.
std::vector<std::string> split_list(const std::string& text);

}  // namespace mtyolo::cli
