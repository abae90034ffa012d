#include "cuda/simt/options.h"

#include <array>
#include <cstdlib>
#include <span>
#include <string_view>

#include "core/error.h"
#include "core/text.h"
#include "cuda/simt/engine.h"

namespace mtyolo::emulator {
namespace {

constexpr std::array<std::string_view, 5> kOrders{"inorder", "reverse", "shuffle", "warp-greedy",
                                                  "block-shuffle"};
constexpr std::array<std::string_view, 3> kAsyncModes{"late", "early", "mixed"};
constexpr std::array<std::string_view, 2> kStreamModes{"at-once", "random"};

template <class T>
void read_choice(const char* variable, std::span<const std::string_view> names, T& value) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return;
  std::string known;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == text) {
      value = T(i);
      return;
    }
    known += (i == 0 ? "" : ", ") + std::string(names[i]);
  }
  fail(ExitCode::kUsage, "usage", "{} is {}, expected one of {}", variable, quoted(text), known);
}

template <class T>
void read_number(const char* variable, int64_t low, int64_t high, T& value) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return;
  const auto number = parse_int(text);
  if (!number || *number < low || *number > high)
    fail(ExitCode::kUsage, "usage", "{} is {}, expected a number from {} to {}", variable, quoted(text), low,
         high);
  value = T(*number);
}

Options from_environment() {
  Options o;
  read_choice("MTYOLO_SIMT_ORDER", kOrders, o.order);
  read_choice("MTYOLO_SIMT_ASYNC", kAsyncModes, o.async);
  read_choice("MTYOLO_SIMT_STREAMS", kStreamModes, o.streams);
  read_number("MTYOLO_SIMT_SEED", 0, INT64_MAX, o.seed);
  read_number("MTYOLO_SIMT_REPEAT", 1, 100, o.repeat);
  read_number("MTYOLO_SIMT_WORKERS", 1, 256, o.workers);
  read_number("MTYOLO_SIMT_COUNT", 0, 1, o.count);
  return o;
}

Options& current() {
  static Options value = from_environment();
  return value;
}

}  // namespace

const Options& options() { return current(); }

void set_options(const Options& options) {
  current() = options;
  restart_launch_numbers();
}

std::string to_string(const Options& o) {
  return fmt::format("order {}, seed {}, copies {}", kOrders[size_t(o.order)], o.seed,
                     kAsyncModes[size_t(o.async)]);
}

}  // namespace mtyolo::emulator
