#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace mtyolo::cli {
namespace {

using namespace std::chrono_literals;
constexpr auto kRedraw = 100ms, kPlainLine = 10000ms;
constexpr int kBarWidth = 24;

Progress::Sink stderr_sink(bool quiet) {
  Progress::Sink sink;
  if (quiet) sink.write = [](std::string_view) {};
  else sink.write = [](std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); };
  sink.terminal = ::isatty(STDERR_FILENO) == 1;
  return sink;
}

std::string clock_text(double seconds) {
  const auto s = int64_t(seconds + 0.5);
  return s < 3600 ? fmt::format("{}:{:02}", s / 60, s % 60)
                  : fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

}  // namespace

Progress::Progress(std::string label, int64_t total, const CommonOptions& common)
    : Progress(std::move(label), total, stderr_sink(common.quiet)) {}

Progress::Progress(std::string label, int64_t total, Sink sink)
    : label_(std::move(label)), total_(total), sink_(std::move(sink)), begin_(sink_.now()), last_(begin_) {}

Progress::~Progress() { clear(); }

void Progress::clear() {
  if (shown_) sink_.write("\r\x1b[K");
  shown_ = false;
}

std::string Progress::line(int64_t done, std::string_view note) const {
  const double elapsed_s = std::chrono::duration<double>(sink_.now() - begin_).count();
  std::string text = label_ + " ";
  if (total_ > 0) {
    const double part = std::clamp(double(done) / double(total_), 0.0, 1.0);
    const int full = int(part * kBarWidth);
    if (sink_.terminal)
      text += "[" + std::string(size_t(full), '#') + std::string(size_t(kBarWidth - full), '.') + "] ";
    text += fmt::format("{}/{} {:.0f} %", done, total_, part * 100);
    if (done > 0) text += fmt::format(", {} left", clock_text(elapsed_s / part * (1 - part)));
  } else {
    text += fmt::format("{}, {}", done, clock_text(elapsed_s));
  }
  if (!note.empty()) text += fmt::format(", {}", note);
  return text;
}

void Progress::update(int64_t done, std::string_view note) {
  const auto now = sink_.now();
  if (now - last_ < (sink_.terminal ? kRedraw : kPlainLine)) return;
  last_ = now;
  if (sink_.terminal) {
    sink_.write("\r\x1b[K" + line(done, note));
    shown_ = true;
  } else {
    sink_.write(line(done, note) + "\n");
  }
}

}  // namespace mtyolo::cli
