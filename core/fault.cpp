#include "core/fault.h"

#ifdef MTYOLO_FAULTS

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/log.h"
#include "core/random.h"
#include "core/text.h"

namespace mtyolo::fault {
namespace {

constexpr uint32_t kChanceStream = 0x6661756c;  // "faul"

struct Fault {
  std::string site, action;
  int64_t nth = 1;
  bool from_then_on = false;
  double chance = 0;  // > 0: instead of nth
};

struct State {
  std::mutex mutex;
  bool read = false;
  std::vector<Fault> faults;
  std::map<std::string, int64_t, std::less<>> visits;
};

State& state() {
  static State s;
  return s;
}

[[noreturn]] void refuse(std::string_view spec) {
  fail(ExitCode::kUsage, "fault", "MTYOLO_FAULT: {} means nothing; expected site[:n][,action]",
       mtyolo::quoted(spec));
}

Fault parse(std::string_view spec) {
  const auto parts = split(spec, ',');
  const auto place = split(parts[0], ':');
  Fault f;
  f.site = trim(place[0]);
  f.action = parts.size() > 1 ? trim(parts[1]) : "fail=EIO";
  if (f.site.empty() || place.size() > 2 || parts.size() > 2) refuse(spec);
  if (place.size() == 1) return f;
  std::string_view n = place[1];
  if (n.starts_with('p')) {
    f.chance = parse_double(n.substr(1)).value_or(0);
    if (f.chance <= 0 || f.chance > 1) refuse(spec);
    return f;
  }
  if (n.ends_with('+')) {
    f.from_then_on = true;
    n.remove_suffix(1);
  }
  f.nth = parse_int(n).value_or(0);
  if (f.nth < 1) refuse(spec);
  return f;
}

std::vector<Fault> parse_all(std::string_view text) {
  std::vector<Fault> faults;
  for (const std::string_view part : split(text, ';'))
    if (!trim(part).empty()) faults.push_back(parse(trim(part)));
  return faults;
}

Effect act(const Fault& f) {
  Effect e;
  const size_t equals = f.action.find('=');
  const std::string name = f.action.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : f.action.substr(equals + 1);
  static const std::map<std::string, int> kErrors{
      {"ENOSPC", ENOSPC}, {"EIO", EIO}, {"EMFILE", EMFILE}, {"EINTR", EINTR}};
  static const std::map<std::string, int> kSignals{{"kill", SIGKILL}, {"term", SIGTERM}, {"int", SIGINT}};
  if (kSignals.contains(name)) {
    ::kill(::getpid(), kSignals.at(name));
  } else if (name == "fail" && kErrors.contains(value)) {
    e.error = kErrors.at(value);
  } else if (name == "short") {
    e.half = true;
  } else if (name == "nan") {
    e.nan = true;
  } else if (name == "jump") {
    e.jump_seconds = parse_double(value).value_or(0);
  } else if (name == "hang") {
    const double seconds = parse_double(value.substr(0, value.find('s'))).value_or(1);
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  } else if (name == "throw") {
    fail(ExitCode::kRuntime, "fault", "thrown on purpose at {}", f.site);
  } else {
    refuse(f.action);
  }
  return e;
}

}  // namespace

bool compiled() { return true; }

void configure(const std::string& spec) {
  const std::lock_guard lock(state().mutex);
  state().faults = parse_all(spec);
  state().visits.clear();
  state().read = true;
}

Effect at(std::string_view site) {
  std::optional<Fault> hit;
  int64_t visit = 0;
  {
    State& s = state();
    const std::lock_guard lock(s.mutex);
    if (!s.read) {
      const char* spec = std::getenv("MTYOLO_FAULT");
      s.faults = parse_all(spec == nullptr ? "" : spec);
      s.read = true;
    }
    if (s.faults.empty()) return {};
    visit = ++s.visits[std::string(site)];
    for (const Fault& f : s.faults) {
      if (f.site != site) continue;
      const bool by_chance =
          f.chance > 0 && RandomStream(0, kChanceStream, uint64_t(visit)).uniform() < f.chance;
      const bool by_number = f.chance == 0 && (visit == f.nth || (f.from_then_on && visit > f.nth));
      if (by_chance || by_number) hit = f;
    }
  }
  if (!hit) return {};
  log::debug("fault: {} at visit {} of {}", hit->action, visit, site);
  return act(*hit);
}

}  // namespace mtyolo::fault

#else

#include "core/error.h"

namespace mtyolo::fault {

bool compiled() { return false; }
Effect at(std::string_view) { return {}; }
void configure(const std::string&) {
  fail(ExitCode::kUsage, "fault", "this build has no fault injection (-DMTYOLO_FAULTS=ON)");
}

}  // namespace mtyolo::fault

#endif
