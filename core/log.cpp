#include "core/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <sstream>

#include "core/error.h"

namespace mtyolo::log {
namespace {

// The one piece of global state of the program: where messages go.
struct State {
  std::shared_ptr<spdlog::logger> logger;
  Level level = Level::kInfo;
  std::mutex mutex;
  std::ostringstream captured;
  bool capturing = false;
  std::atomic<int> warnings{0};
};

std::shared_ptr<spdlog::logger> make_logger(spdlog::sink_ptr sink) {
  auto logger = std::make_shared<spdlog::logger>("mtyolo", std::move(sink));
  logger->set_level(spdlog::level::trace);
  return logger;
}

State& state() {
  static State s;
  return s;
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
    case Level::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

spdlog::sink_ptr stderr_sink() {
  const bool plain = std::getenv("NO_COLOR") != nullptr;
  auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>(plain ? spdlog::color_mode::never
                                                                          : spdlog::color_mode::automatic);
  return sink;
}

std::shared_ptr<spdlog::logger> console_logger(Level level) {
  auto console = stderr_sink();
  console->set_level(to_spdlog(level));
  console->set_pattern("%^%v%$");
  return make_logger(console);
}

const char* prefix(Level level) {
  if (level == Level::kWarning) return "warning: ";
  if (level == Level::kError) return "error: ";
  return "";
}

}  // namespace

void configure(Level level, const std::string& file) {
  {
    const std::lock_guard lock(state().mutex);
    state().logger = console_logger(level);
    state().level = level;
  }
  if (!file.empty()) also_to(file);
}

void also_to(const std::string& file) {
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
    sink->set_pattern("%Y-%m-%d %H:%M:%S %v");
    const std::lock_guard lock(state().mutex);
    if (!state().logger) state().logger = console_logger(state().level);
    state().logger->sinks().push_back(sink);
  } catch (const spdlog::spdlog_ex&) {
    throw Error({ExitCode::kRuntime,
                 "log_file",
                 "cannot write the log",
                 file,
                 {},
                 "give a path that can be written"});
  }
}

Level level() { return state().level; }

void write(Level level, std::string_view text) {
  State& s = state();
  if (level == Level::kWarning) ++s.warnings;
  const std::lock_guard lock(s.mutex);
  if (s.capturing) {
    s.captured << prefix(level) << text << '\n';
    return;
  }
  if (!s.logger) s.logger = console_logger(s.level);
  s.logger->log(to_spdlog(level), "{}{}", prefix(level), text);
  s.logger->flush();
}

int warning_count() { return state().warnings; }

Capture::Capture() {
  const std::lock_guard lock(state().mutex);
  state().captured.str({});
  state().capturing = true;
}

Capture::~Capture() {
  const std::lock_guard lock(state().mutex);
  state().capturing = false;
}

std::string Capture::text() const {
  const std::lock_guard lock(state().mutex);
  return state().captured.str();
}

}  // namespace mtyolo::log
