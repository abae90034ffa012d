#include "core/text.h"
#include "models/heads.h"
#include "train/head_parameters.h"
#include "train/run_setup.h"

namespace mtyolo::train {
namespace {

struct RowRange {
  int64_t first = 0, last = 0;
};

std::optional<RowRange> parse_rows(const std::string& word) {
  const size_t dash = word.find('-');
  const auto first = parse_int(word.substr(0, dash));
  const auto last = dash == std::string::npos ? first : parse_int(word.substr(dash + 1));
  if (!first || !last || *first < 0 || *last < *first) return std::nullopt;
  return RowRange{*first, *last};
}

// "heads.a.model.105.m.0.weight" -> 105; -1 without a row.
int64_t row_of(const std::string& name) {
  constexpr std::string_view kModel = "model.";
  const std::string plain = models::without_head(name);
  if (!plain.starts_with(kModel)) return -1;
  const std::string_view rest = std::string_view(plain).substr(kModel.size());
  return parse_int(rest.substr(0, rest.find('.'))).value_or(-1);
}

bool belongs_to(const models::Head& head, const std::string& name) {
  return name.starts_with(head.prefix) || name.starts_with("heads." + head.name + ".");
}

int last_row(const models::Graph& graph) { return graph.rows.empty() ? -1 : graph.rows.back().index; }

[[noreturn]] void refuse(const models::Graph& graph, const std::string& word) {
  std::vector<std::string> known{"trunk"};
  for (const models::Head& h : graph.heads) known.push_back(h.name);
  fail(ExitCode::kUsage, "freeze", "--freeze {}: expected {}, or rows 0-{}{}", mtyolo::quoted(word),
       fmt::join(known, ", "), last_row(graph), did_you_mean(word, known));
}

}  // namespace

std::set<std::string> frozen_parameters(const models::Graph& graph, const std::vector<std::string>& words) {
  std::set<std::string> frozen;
  const auto freeze_where = [&](auto&& wanted) {
    for (const models::ParamInfo& p : graph.params)
      if (!p.is_buffer() && wanted(p.name)) frozen.insert(p.name);
  };
  for (const std::string& word : words) {
    const models::Head* head = graph.find_head(word);
    if (word == "trunk") {
      const auto shared = [&](const std::string& name) {
        return std::none_of(graph.heads.begin(), graph.heads.end(),
                            [&](const models::Head& h) { return belongs_to(h, name); });
      };
      if (std::none_of(graph.params.begin(), graph.params.end(),
                       [&](const auto& p) { return shared(p.name); }))
        fail(ExitCode::kUsage, "freeze", "--freeze trunk: the heads of this network share no row");
      freeze_where(shared);
    } else if (head != nullptr) {
      freeze_where([&](const std::string& name) { return belongs_to(*head, name); });
    } else {
      auto rows = parse_rows(word);
      if (rows && words.size() == 1 && word.find('-') == std::string::npos) rows = {0, rows->first - 1};
      if (!rows || rows->last > last_row(graph)) refuse(graph, word);
      freeze_where(
          [&](const std::string& name) { return row_of(name) >= rows->first && row_of(name) <= rows->last; });
    }
  }
  const auto trains = [&](const models::ParamInfo& p) { return !p.is_buffer() && !frozen.contains(p.name); };
  if (std::none_of(graph.params.begin(), graph.params.end(), trains))
    fail(ExitCode::kUsage, "freeze", "--freeze {} leaves nothing to train", fmt::join(words, ","));
  return frozen;
}

FrozenHeads frozen_heads(const models::Graph& graph, const std::set<std::string>& frozen) {
  FrozenHeads out;
  if (graph.heads.size() < 2) return out;
  const auto uses = parameters_of_heads(graph);
  for (size_t h = 0; h < uses.size(); ++h) {
    bool own = false, own_trains = false;
    std::string trains;
    for (const std::string& name : uses[h]) {
      const bool is_frozen = frozen.contains(name), is_own = belongs_to(graph.heads[h], name);
      own = own || is_own;
      own_trains = own_trains || (is_own && !is_frozen);
      if (!is_frozen) trains = name;
    }
    if (!own || own_trains) continue;
    if (trains.empty()) out.still.push_back(graph.heads[h].name);
    else out.moving.emplace_back(graph.heads[h].name, trains);
  }
  return out;
}

}  // namespace mtyolo::train
