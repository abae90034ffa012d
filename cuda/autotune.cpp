#include "cuda/autotune.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"

namespace mtyolo {
namespace {

constexpr char kHeader[] = "# mtyolo autotune 1";
constexpr size_t kMaxFileBytes = size_t(16) << 20;
constexpr int kWarmUps = 3, kSamples = 11;
// A sample is several runs: a launch takes as long as a small kernel.
constexpr int kRunsPerSample = 4;

double distance(const std::vector<float>& got, const std::vector<float>& want) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    difference += std::pow(double(got[i]) - double(want[i]), 2);
    size += double(want[i]) * double(want[i]);
  }
  return size == 0 ? std::sqrt(difference) : std::sqrt(difference / size);
}

double median_ms(DeviceSession& session, const std::function<void()>& run) {
  const auto sample = [&] {
    for (int i = 0; i < kRunsPerSample; ++i) run();
  };
  std::vector<double> ms;
  for (int i = 0; i < kWarmUps + kSamples; ++i) {
    const double one = session.time(sample) / kRunsPerSample;
    if (i >= kWarmUps) ms.push_back(one);
  }
  std::nth_element(ms.begin(), ms.begin() + kSamples / 2, ms.end());
  return ms[kSamples / 2];
}

}  // namespace

TuneMode parse_tune_mode(const std::string& text) {
  if (text == "off") return TuneMode::kOff;
  if (text == "cache-only") return TuneMode::kCacheOnly;
  if (text == "on") return TuneMode::kOn;
  fail(ExitCode::kUsage, "usage", "autotune is {}, expected off, cache-only or on", quoted(text));
}

Autotuner::Autotuner(TuneMode mode, std::string path) : mode_(mode), path_(std::move(path)) {
  if (mode_ == TuneMode::kOff || path_.empty() || !std::filesystem::exists(path_)) return;
  const std::string text = read_file(path_, kMaxFileBytes);
  size_t number = 0;
  for (const std::string_view line : split(text, '\n')) {
    ++number;
    if (!line.empty() || number == 1) read_line(line, number);
  }
}

void Autotuner::read_line(std::string_view line, size_t number) {
  const auto refuse = [&](std::string message) {
    throw Error({ExitCode::kData, "tune_cache", std::move(message), path_, fmt::format("line {}", number),
                 "remove the line, or the file to measure again"});
  };
  if (number == 1) {
    if (line != kHeader)
      refuse(fmt::format("the file begins with {}, expected {}", quoted(line), quoted(kHeader)));
    return;
  }
  const size_t equals = line.find(" = "), at = line.rfind(" @ ");
  if (equals == std::string_view::npos || at == std::string_view::npos || equals == 0 || at < equals + 4 ||
      !line.ends_with(" ms"))
    refuse(fmt::format("{} is not of the form KEY = CHOICE @ MILLISECONDS ms", quoted(line)));
  const auto ms = parse_double(line.substr(at + 3, line.size() - at - 6));
  if (!ms.has_value() || *ms < 0) refuse(fmt::format("{} has no time of at least 0 ms", quoted(line)));
  Entry entry{std::string(line.substr(equals + 3, at - equals - 3)), *ms};
  if (!entries_.emplace(std::string(line.substr(0, equals)), std::move(entry)).second)
    refuse(fmt::format("a second line for {}", quoted(line.substr(0, equals))));
}

std::string Autotuner::choose(DeviceSession& session, const std::string& key,
                              const TuneCandidates& candidates) {
  const auto& names = candidates.names;
  MTYOLO_CHECK(!names.empty(), "no candidate for {}", key);
  if (mode_ == TuneMode::kOff || names.size() == 1) return names.front();
  // A choice that is no candidate any more was made by other code: the key should have told them apart.
  const auto known = entries_.find(key);
  if (known != entries_.end() && std::find(names.begin(), names.end(), known->second.choice) != names.end())
    return known->second.choice;
  if (mode_ == TuneMode::kCacheOnly) return names.front();
  const Entry entry = measure(session, key, candidates);
  ++measured_;
  changed_ = true;
  entries_[key] = entry;
  return entry.choice;
}

Autotuner::Entry Autotuner::measure(DeviceSession& session, const std::string& key,
                                    const TuneCandidates& candidates) {
  std::optional<Entry> best;
  std::optional<Error> first_error;
  std::vector<float> reference;
  for (const std::string& name : candidates.names) {
    try {
      const std::function<void()> run = candidates.prepare(name);
      run();
      session.synchronize();
      const std::vector<float> result = candidates.result();
      const bool first = !best.has_value();
      if (first) reference = result;
      const double away = distance(result, reference);
      if (!(away <= candidates.tolerance)) {
        log::warning("autotune: {} for {} is {:.2g} away from {}: not used", name, key, away,
                     first ? "itself" : "the first result");
        continue;
      }
      const double ms = median_ms(session, run);
      log::debug("autotune: {} = {} @ {:.4f} ms", key, name, ms);
      if (first || ms < best->ms) best = Entry{name, ms};
    } catch (const Error& e) {
      log::debug("autotune: {} for {}: {}", name, key, e.what());
      if (!first_error.has_value()) first_error = e;
    }
  }
  if (best.has_value()) return *best;
  if (first_error.has_value()) throw *first_error;
  fail(ExitCode::kRuntime, "tune", "no implementation computes finite numbers for {}", key);
}

void Autotuner::save() {
  if (!changed_ || path_.empty()) return;
  std::string text = kHeader;
  text += '\n';
  for (const auto& [key, entry] : entries_)
    text += fmt::format("{} = {} @ {:.4f} ms\n", key, entry.choice, entry.ms);
  write_file_atomically(path_, text);
  changed_ = false;
}

}  // namespace mtyolo
