#include "cli/multitask_table.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"

namespace mtyolo::cli {
namespace {

using Runs = std::vector<const MultitaskRun*>;

std::vector<std::string> sharings_of(const std::vector<MultitaskRun>& runs, const std::string& set) {
  std::vector<std::string> names;
  for (const MultitaskRun& r : runs)
    if (r.set == set && std::find(names.begin(), names.end(), r.sharing) == names.end())
      names.push_back(r.sharing);
  return names;
}

Runs runs_of(const std::vector<MultitaskRun>& runs, const std::string& set, const std::string& sharing) {
  Runs found;
  for (const MultitaskRun& r : runs)
    if (r.set == set && r.sharing == sharing) found.push_back(&r);
  return found;
}

template <class Get>
Spread over(const Runs& runs, Get&& get) {
  std::vector<double> values;
  for (const MultitaskRun* r : runs) values.push_back(get(*r));
  return spread_of(values);
}

Spread map50(const Runs& runs, size_t head) {
  return over(runs, [&](const MultitaskRun& r) { return 100 * r.map50.at(head); });
}
Spread map50_95(const Runs& runs, size_t head) {
  return over(runs, [&](const MultitaskRun& r) { return 100 * r.map50_95.at(head); });
}

std::string range_text(const Spread& s) {
  return fmt::format("{:.1f} ({:.1f} to {:.1f})", s.mean, s.low, s.high);
}

std::string table_row(const std::string& sharing, const Runs& runs, size_t heads) {
  const auto mean = [&](auto member) {
    return over(runs, [&](const MultitaskRun& r) { return r.*member; }).mean;
  };
  std::string row = fmt::format("| {} | {:.2f} M | {:.1f} | {:.0f} | {:.0f} | {:.0f} |", sharing,
                                mean(&MultitaskRun::parameters) / 1e6, mean(&MultitaskRun::ms_per_image),
                                mean(&MultitaskRun::infer_mib), mean(&MultitaskRun::train_mib),
                                mean(&MultitaskRun::train_cpu_seconds));
  for (size_t h = 0; h < heads; ++h)
    row += fmt::format(" {} | {} |", range_text(map50(runs, h)), range_text(map50_95(runs, h)));
  return row + "\n";
}

std::string verdict(const Spread& mine, const Spread& base) {
  const double by = mine.mean - base.mean;
  if (mine.low > base.high) return fmt::format("{:.1f} points better", by);
  if (mine.high < base.low) return fmt::format("{:.1f} points worse", -by);
  return fmt::format("no difference beyond the spread ({:+.1f})", by);
}

std::string set_text(const MultitaskSet& set, const std::vector<MultitaskRun>& runs) {
  const std::vector<std::string> sharings = sharings_of(runs, set.name);
  std::string head = fmt::format(
      "**{}**\n\n| sharing | parameters | ms/image | MiB infer | MiB train | CPU s train |", set.name);
  std::string rule = "|---|---|---|---|---|---|";
  for (const std::string& name : set.heads) {
    head += fmt::format(" {0} mAP@.5 | {0} mAP@.5:.95 |", name);
    rule += "---|---|";
  }
  std::string text = head + "\n" + rule + "\n", sentences;
  for (const std::string& sharing : sharings) {
    const Runs mine = runs_of(runs, set.name, sharing);
    text += table_row(sharing, mine, set.heads.size());
    if (sharing == sharings.front()) continue;
    const Runs base = runs_of(runs, set.name, sharings.front());
    sentences += fmt::format("- {} against {}, mAP@.5:", sharing, sharings.front());
    for (size_t h = 0; h < set.heads.size(); ++h)
      sentences +=
          fmt::format("{} {} {}", h == 0 ? "" : ";", set.heads[h], verdict(map50(mine, h), map50(base, h)));
    sentences += "\n";
  }
  return text + "\n" + sentences;
}

}  // namespace

Spread spread_of(const std::vector<double>& values) {
  if (values.empty()) return {};
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {*low, std::accumulate(values.begin(), values.end(), 0.0) / double(values.size()), *high};
}

std::string multitask_markdown(const std::vector<MultitaskSet>& sets, const std::vector<MultitaskRun>& runs) {
  std::string text;
  for (const MultitaskSet& set : sets) text += (text.empty() ? "" : "\n") + set_text(set, runs);
  return text;
}

}  // namespace mtyolo::cli
