#include "cli/class_filter.h"

#include <algorithm>

#include "core/error.h"
#include "core/text.h"

namespace mtyolo::cli {
namespace {

[[noreturn]] void fail_usage(std::string message, std::string suggestion = {}) {
  throw Error({ExitCode::kUsage, "usage", std::move(message), {}, {}, std::move(suggestion)});
}

float threshold(std::string_view word) {
  const auto value = parse_double(word);
  if (!value || *value < 0 || *value > 1)
    fail_usage(fmt::format("--conf-thres {}: expected a number in 0..1", quoted(word)),
               "for one head write a=0.3");
  return float(*value);
}

}  // namespace

std::vector<int> parse_classes(const std::vector<std::string>& words, const std::vector<std::string>& names) {
  std::vector<int> ids;
  for (const std::string& word : words) {
    if (const auto id = parse_int(word)) {
      if (*id < 0 || *id >= int64_t(names.size()))
        fail_usage(fmt::format("--classes {}: the model has the classes 0..{}", quoted(word),
                               int(names.size()) - 1));
      ids.push_back(int(*id));
      continue;
    }
    const auto found = std::find(names.begin(), names.end(), word);
    if (found == names.end())
      fail_usage(fmt::format("--classes {}: the model has no such class{}", quoted(word),
                             did_you_mean(word, names)));
    ids.push_back(int(found - names.begin()));
  }
  return ids;
}

void check_heads(const std::vector<std::string>& wanted, const std::vector<std::string>& have) {
  for (const std::string& name : wanted)
    if (std::find(have.begin(), have.end(), name) == have.end())
      fail_usage(fmt::format("--heads {}: the model has the heads {}{}", quoted(name), fmt::join(have, ", "),
                             did_you_mean(name, have)));
}

std::vector<float> parse_head_thresholds(const std::vector<std::string>& words,
                                         const std::vector<std::string>& heads,
                                         const std::vector<std::string>& of_model, float fallback) {
  std::vector<float> result(heads.size(), fallback);
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      if (words.size() > 1)
        fail_usage(fmt::format("--conf-thres {}: several values need heads, a=0.3,b=0.2", quoted(word)));
      result.assign(heads.size(), threshold(word));
      continue;
    }
    const std::string head = word.substr(0, equals);
    const auto found = std::find(heads.begin(), heads.end(), head);
    if (found == heads.end() && std::find(of_model.begin(), of_model.end(), head) != of_model.end())
      fail_usage(fmt::format("--conf-thres {}: --heads {} leaves that head out", quoted(word),
                             fmt::join(heads, ",")),
                 "name it in --heads too");
    if (found == heads.end())
      fail_usage(fmt::format("--conf-thres {}: the model has the heads {}{}", quoted(word),
                             fmt::join(heads, ", "), did_you_mean(head, heads)));
    result[size_t(found - heads.begin())] = threshold(std::string_view(word).substr(equals + 1));
  }
  return result;
}

}  // namespace mtyolo::cli
