// Covers what all formats share; files are read here under the limit of the format that asks.
#include "data/formats/label_source.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "core/file.h"

namespace mtyolo::data {
namespace {

// The part of centre +- side / 2 within the frame; untouched unless it leaves it by more than the slack.
bool clip_axis(float& centre, float& side) {
  const float low = centre - side / 2, high = centre + side / 2;
  if (low >= -kFrameSlack && high <= 1 + kFrameSlack) return false;
  const float from = std::clamp(low, 0.0f, 1.0f), to = std::clamp(high, 0.0f, 1.0f);
  centre = (from + to) / 2;
  side = to - from;
  return true;
}

}  // namespace

double bounded_pixels(double value) {
  constexpr double kFarOut = 1e9;
  return std::clamp(value, -kFarOut, kFarOut);
}

bool Labels::add(Label label) {
  const bool x = clip_axis(label.x, label.w), y = clip_axis(label.y, label.h);
  clipped += x || y ? 1 : 0;
  if (label.w < kMinBoxSide || label.h < kMinBoxSide) {
    ++flat;
    return false;
  }
  for (Point& p : label.polygon) p = {std::clamp(p.x, 0.0f, 1.0f), std::clamp(p.y, 0.0f, 1.0f)};
  labels.push_back(std::move(label));
  return true;
}

void Labels::drop_repeated() {
  std::set<std::tuple<int, float, float, float, float>> seen;
  repeated += int(std::erase_if(
      labels, [&](const Label& l) { return !seen.insert(std::tuple(l.cls, l.x, l.y, l.w, l.h)).second; }));
}

Error label_error(const std::string& file, const std::string& where, const char* code, std::string message,
                  std::string suggestion) {
  return Error({ExitCode::kData, code, std::move(message), file, where, std::move(suggestion)});
}

std::string read_data_file(const std::string& path, size_t limit_bytes) {
  try {
    return read_file(path, limit_bytes);
  } catch (const Error& e) {
    ErrorInfo info = e.info();
    info.exit = ExitCode::kData;
    throw Error(std::move(info));
  }
}

}  // namespace mtyolo::data
