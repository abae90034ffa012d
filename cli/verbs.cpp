#include "cli/verbs.h"

#include <algorithm>
#include <map>

#include "core/text.h"

namespace mtyolo::cli {

std::unique_ptr<Verb> make_anchors();
std::unique_ptr<Verb> make_bench();
std::unique_ptr<Verb> make_data();
std::unique_ptr<Verb> make_demo();
std::unique_ptr<Verb> make_export();
std::unique_ptr<Verb> make_import();
std::unique_ptr<Verb> make_infer();
std::unique_ptr<Verb> make_info();
std::unique_ptr<Verb> make_reparam();
std::unique_ptr<Verb> make_split();
std::unique_ptr<Verb> make_train();
std::unique_ptr<Verb> make_val();

const std::vector<VerbEntry>& verbs() {
  static const std::vector<VerbEntry> table{
      {"demo", "draws data, trains two heads on it, shows everything; needs no file", make_demo},
      {"infer", "detections of images", make_infer},
      {"train", "a network on a data set", make_train},
      {"val", "how well a model does on a labelled set", make_val},
      {"import", "foreign weights as our own file; one head into several", make_import},
      {"reparam", "the deploy form of a network", make_reparam},
      {"export", "a network as a file for other engines", make_export},
      {"data", "check a data set, or say what it consists of", make_data},
      {"split", "images shared out to train, val and test", make_split},
      {"anchors", "anchors that fit the labels of a data set", make_anchors},
      {"info", "a weight file, a cfg, a run; this machine and build", make_info},
      {"bench", "how long a model takes", make_bench},
  };
  return table;
}

namespace {

const std::map<std::string, std::string> kAliases{{"detect", "infer"}, {"predict", "infer"}};

// Verbs of the finished command (conventions.md section 2) that are not built, each with the nearest that is.
const std::map<std::string, std::string> kPlanned{{"serve", "infer"}};

const VerbEntry* lookup(const std::string& name) {
  for (const VerbEntry& v : verbs())
    if (v.name == name) return &v;
  return nullptr;
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const VerbEntry& v : verbs()) all.push_back(v.name);
  return all;
}

[[noreturn]] void fail_verb(std::string message, std::string suggestion) {
  throw Error({ExitCode::kUsage, "usage", std::move(message), {}, {}, std::move(suggestion)});
}

}  // namespace

const VerbEntry& find_verb(const std::string& typed) {
  const auto alias = kAliases.find(typed);
  const std::string name = alias == kAliases.end() ? typed : alias->second;
  if (const VerbEntry* v = lookup(name)) return *v;
  const auto all = names();
  if (const auto planned = kPlanned.find(name); planned != kPlanned.end())
    fail_verb(fmt::format("the verb {} is not part of this version ({})", mtyolo::quoted(typed),
                          fmt::join(all, ", ")),
              fmt::format("the nearest verb it has is '{}'", planned->second));
  if (name == "test" || name == "build")
    fail_verb(fmt::format("{} belongs to the launcher", mtyolo::quoted(name)),
              fmt::format("write ./mtyolo {}", name));
  const std::string near = nearest_name(name, all);
  fail_verb(fmt::format("unknown verb {}", mtyolo::quoted(typed)),
            near.empty() ? fmt::format("this version has {}", fmt::join(all, ", "))
                         : fmt::format("did you mean '{}'?", near));
}

}  // namespace mtyolo::cli
