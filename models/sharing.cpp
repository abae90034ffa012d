#include "models/sharing.h"

#include <algorithm>
#include <optional>

#include "core/text.h"

namespace mtyolo::models {
namespace {

using Mode = Sharing::Mode;

constexpr double kMaxStrength = 1e6;
const std::vector<std::string> kModes{"hard", "soft", "none"};  // in the order of Mode

std::optional<Mode> mode_of(const std::string& name) {
  const auto it = std::find(kModes.begin(), kModes.end(), name);
  return it == kModes.end() ? std::nullopt : std::optional(Mode(it - kModes.begin()));
}

const std::string& name_of(Mode mode) { return kModes[size_t(mode)]; }

// What is wrong with it, empty if nothing.
std::string problem_of(const Sharing& s, int rows) {
  const int last = rows - 2;  // before the detection row
  const auto outside = [&](int row) { return row < 0 || row > last; };
  if (last < 0) return "sharing needs a row before the detection row";
  if (s.until != -1 && s.mode != Mode::kHard)
    return fmt::format("`until` is of hard sharing, the mode is {}", name_of(s.mode));
  if (s.until != -1 && outside(s.until))
    return fmt::format("shared until row {}, expected 0..{}: the detection row {} belongs to its head",
                       s.until, last, last + 1);
  const bool couples = s.couple_first != -1 || s.couple_last != -1;
  if ((couples || !s.cross_stitch.empty()) && s.mode != Mode::kSoft)
    return fmt::format("`{}` is of soft sharing, the mode is {}", couples ? "couple" : "cross_stitch",
                       name_of(s.mode));
  if (couples && (outside(s.couple_first) || outside(s.couple_last)))
    return fmt::format("couples rows {}-{}, expected rows in 0..{}", s.couple_first, s.couple_last, last);
  if (couples && s.couple_first > s.couple_last)
    return fmt::format("couples rows {}-{}, which run backwards", s.couple_first, s.couple_last);
  for (const int row : s.cross_stitch)
    if (outside(row)) return fmt::format("cross-stitch after row {}, expected 0..{}", row, last);
  if (std::adjacent_find(s.cross_stitch.begin(), s.cross_stitch.end(), std::greater_equal<>()) !=
      s.cross_stitch.end())
    return "the cross-stitch rows do not ascend, each once";
  return {};
}

int row_from(const Document& d, const char* what, int rows) {
  return int(d.as_int(what, 0, std::max(rows - 2, 0)));
}

Document number(int value) { return Document::scalar(std::to_string(value)); }

[[noreturn]] void refuse(const std::string& message, const std::string& suggestion = {}) {
  throw Error({ExitCode::kUsage, "sharing", message, {}, {}, suggestion});
}

}  // namespace

bool is_tied(const Sharing& s) {
  return s.mode == Mode::kSoft && (s.couple_first >= 0 || s.cross_stitch.empty());
}

Sharing sharing_from_document(const Document& block, int rows) {
  const std::vector<std::string> known{"mode", "until", "couple", "penalty", "strength", "cross_stitch"};
  if (!block.is_map()) throw document_error(block, "sharing is no map, expected {mode: hard, until: ROW}");
  Sharing s;
  const Document* mode = block.find("mode");
  if (mode == nullptr) throw document_error(block, "sharing has no mode, expected hard, soft or none");
  const std::string& name = mode->as_text("the mode");
  if (!mode_of(name))
    throw document_error(*mode, fmt::format("the mode is {}, expected hard, soft or none{}",
                                            mtyolo::quoted(name), did_you_mean(name, kModes)));
  s.mode = *mode_of(name);
  for (const auto& [key, value] : block.fields) {
    if (key == "until") s.until = row_from(value, "until", rows);
    if (key == "strength") s.strength = value.as_double("strength", 0, kMaxStrength);
    if (key == "penalty" && value.as_text("the penalty") != "l2")
      throw document_error(value, fmt::format("the penalty is {}, expected l2", mtyolo::quoted(value.text)));
    if (key == "couple") {
      if (!value.is_list() || value.items.size() != 2)
        throw document_error(value, "couple is not [FIRST, LAST]");
      s.couple_first = row_from(value.items[0], "the first row of couple", rows);
      s.couple_last = row_from(value.items[1], "the last row of couple", rows);
    }
    if (key == "cross_stitch") {
      if (!value.is_list() || value.items.empty())
        throw document_error(value, "cross_stitch is no list of rows");
      for (const Document& row : value.items)
        s.cross_stitch.push_back(row_from(row, "a row of cross_stitch", rows));
    }
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw document_error(
          value, fmt::format("unknown key {} in sharing{}", mtyolo::quoted(key), did_you_mean(key, known)));
  }
  const bool ties = block.find("strength") != nullptr || block.find("penalty") != nullptr;
  if (ties && !is_tied(s))
    throw document_error(block, "sharing has a penalty or strength, but no tie: no couple");
  if (const std::string problem = problem_of(s, rows); !problem.empty()) throw document_error(block, problem);
  return s;
}

Document sharing_to_document(const Sharing& s) {
  Document d = Document::map({{"mode", Document::scalar(name_of(s.mode))}});
  if (s.until >= 0) d.fields.emplace_back("until", number(s.until));
  if (s.couple_first >= 0)
    d.fields.emplace_back("couple", Document::list({number(s.couple_first), number(s.couple_last)}));
  if (is_tied(s)) {
    d.fields.emplace_back("penalty", Document::scalar("l2"));
    d.fields.emplace_back("strength", Document::scalar(fmt::format("{}", s.strength)));
  }
  if (s.cross_stitch.empty()) return d;
  std::vector<Document> rows;
  for (const int row : s.cross_stitch) rows.push_back(number(row));
  d.fields.emplace_back("cross_stitch", Document::list(std::move(rows)));
  return d;
}

void check_sharing(const Sharing& sharing, int rows) {
  if (const std::string problem = problem_of(sharing, rows); !problem.empty()) refuse(problem);
}

std::string describe(const Sharing& s, int rows) {
  if (s.mode == Mode::kNone) return "none, every row once per head";
  if (s.mode == Mode::kHard) return fmt::format("hard, rows 0-{} shared", shared_until(s, rows));
  std::string text = "soft";
  if (is_tied(s))
    text += fmt::format(", rows {}-{} tied with strength {}", std::max(s.couple_first, 0),
                        s.couple_last < 0 ? rows - 2 : s.couple_last, s.strength);
  if (!s.cross_stitch.empty())
    text += fmt::format(", cross-stitch after rows {}", fmt::join(s.cross_stitch, ", "));
  return text;
}

Sharing with_flags(const Sharing& base, const SharingFlags& flags) {
  Sharing s = base;
  if (!flags.mode.empty()) {
    const auto mode = mode_of(flags.mode);
    if (!mode)
      refuse(fmt::format("--sharing {}, expected hard, soft or none{}", mtyolo::quoted(flags.mode),
                         did_you_mean(flags.mode, kModes)));
    if (*mode != base.mode) s = Sharing{.mode = *mode};
  }
  const auto row = [](std::string_view text, const char* flag) {
    const auto value = parse_int(trim(text));
    if (!value || *value < 0 || *value > 100'000)
      refuse(fmt::format("{}: {} is no row", flag, mtyolo::quoted(text)));
    return int(*value);
  };
  if (flags.until >= 0) s.until = flags.until;
  if (!flags.couple.empty()) {
    const size_t dash = flags.couple.find('-');
    if (dash == std::string::npos)
      refuse(fmt::format("--couple {}, expected rows FIRST-LAST", mtyolo::quoted(flags.couple)));
    s.couple_first = row(std::string_view(flags.couple).substr(0, dash), "--couple");
    s.couple_last = row(std::string_view(flags.couple).substr(dash + 1), "--couple");
  }
  if (!flags.cross_stitch.empty()) {
    s.cross_stitch.clear();
    for (const std::string& word : flags.cross_stitch) s.cross_stitch.push_back(row(word, "--cross-stitch"));
  }
  if (flags.strength >= 0) s.strength = flags.strength;
  if (flags.strength >= 0 && !is_tied(s))
    refuse(fmt::format("--couple-strength {}, but no rows are tied", flags.strength),
           "give --sharing soft, and --couple beside --cross-stitch");
  return s;
}

}  // namespace mtyolo::models
