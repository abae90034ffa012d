// Scoped time ranges, written as a Chrome trace (chrome://tracing, Perfetto).
//   profile::start();  { profile::Scope s("conv2d", "row 24"); ... }  profile::write("trace.json");
// While profiling is off a Scope costs one relaxed load.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace mtyolo::profile {

void start();                         // forgets earlier ranges and begins to record
void write(const std::string& path);  // stops and writes the trace
bool active();

class Scope {
 public:
  explicit Scope(std::string_view name, std::string_view detail = {});
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  bool recording_;
  std::string name_, detail_;
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace mtyolo::profile
