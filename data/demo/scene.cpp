#include "data/demo/scene.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "data/demo/shapes.h"

namespace mtyolo::data::demo {
namespace {

constexpr uint32_t kStream = 0x5ce7e;

struct Light {
  Rgb zenith, horizon, mountain, meadow, sun;
};
constexpr std::array<Light, 4> kLights{
    Light{{76, 142, 214}, {206, 230, 244}, {116, 138, 164}, {118, 168, 82}, {255, 244, 200}},   // noon
    Light{{110, 140, 200}, {250, 214, 190}, {140, 124, 150}, {126, 158, 96}, {255, 226, 180}},  // morning
    Light{{70, 66, 130}, {250, 160, 104}, {98, 74, 110}, {96, 112, 70}, {255, 196, 120}},       // dusk
    Light{{150, 164, 176}, {214, 220, 222}, {130, 140, 148}, {108, 142, 92}, {236, 238, 238}},  // overcast
};

void paint_sky(Image& image, const Light& light, double horizon, RandomStream& random) {
  for (int y = 0; y < image.height; ++y) {
    const Rgb c = mix(light.zenith, light.horizon, std::min(1.0, y / horizon));
    for (int x = 0; x < image.width; ++x) {
      uint8_t* p = image.row(y) + size_t(x) * 3;
      p[0] = c.r, p[1] = c.g, p[2] = c.b;
    }
  }
  const double s = image.width;
  const Vec2 sun{random.uniform(0.1, 0.9) * s, random.uniform(0.15, 0.9) * horizon};
  fill_polygon(image, ellipse(sun, 0.055 * s, 0.055 * s), light.sun);
  for (int cloud = 0; cloud < 3; ++cloud) {
    const Vec2 at{random.uniform(0, 1) * s, random.uniform(0.05, 0.7) * horizon};
    const double r = random.uniform(0.03, 0.06) * s;
    for (int puff = -2; puff <= 2; ++puff)
      fill_polygon(image, ellipse({at.x + puff * r, at.y - (2 - std::abs(puff)) * r * 0.3}, r * 1.2, r * 0.7),
                   mix(light.horizon, {255, 255, 255}, 0.7));
  }
}

// A ridge from left to right, filled down to the lower edge.
void paint_ridge(Image& image, double base, double height, int corners, Rgb colour, RandomStream& random) {
  std::vector<Vec2> points;
  for (int i = 0; i <= corners; ++i)
    points.push_back({double(image.width) * i / corners, base - height * random.uniform()});
  points.push_back({double(image.width), double(image.height)});
  points.push_back({0, double(image.height)});
  fill_polygon(image, points, colour);
}

void paint_meadow(Image& image, const Light& light, double horizon, RandomStream& random) {
  paint_ridge(image, horizon, 0.05 * image.height, 6, light.meadow, random);
  for (int tuft = 0; tuft < 160; ++tuft) {
    const double y = random.uniform(horizon, image.height), x = random.uniform(0, image.width);
    const double h = 2 + 6 * (y - horizon) / (image.height - horizon + 1);
    const Rgb shade = mix(light.meadow, random.below(2) == 0 ? Rgb{40, 70, 30} : Rgb{190, 210, 110}, 0.4);
    fill_polygon(image, std::array<Vec2, 3>{Vec2{x - 1, y}, Vec2{x + 1, y}, Vec2{x, y - h}}, shade);
  }
}

// Part of the smaller box that the other covers.
double cover(const PaintedBox& a, const PaintedBox& b) {
  const double w = std::min(a.x2, b.x2) - std::max(a.x1, b.x1),
               h = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (w <= 0 || h <= 0) return 0;
  const auto area = [](const PaintedBox& p) { return double(p.x2 - p.x1) * (p.y2 - p.y1); };
  return w * h / std::min(area(a), area(b));
}

// Tries a place for one object; false when it would hide another one or leave the picture.
bool place_object(Scene& scene, std::vector<PaintedBox>& taken, double horizon, RandomStream& random) {
  const double s = scene.image.width;
  const int cls = int(random.below(int64_t(scene_names().size())));
  const bool sky = cls < kSkyClasses;
  const double reach = random.uniform(0.075, 0.15) * s;
  const double y = sky ? random.uniform(0.08 * s, horizon - 0.4 * reach)
                       : random.uniform(horizon + 0.02 * s, s - 0.9 * reach);
  const Vec2 at{random.uniform(reach, s - reach), y};
  const PaintedBox guess{int(at.x - reach), int(at.y - reach), int(at.x + reach), int(at.y + reach)};
  for (const PaintedBox& other : taken)
    if (cover(guess, other) > 0.1) return false;
  const PaintedBox box = draw_object(scene.image, cls, at, reach, random);
  if (box.x2 - box.x1 < 4 || box.y2 - box.y1 < 4) return false;
  taken.push_back(box);
  Label label;
  label.cls = cls;
  label.x = float((box.x1 + box.x2) / 2.0 / s);
  label.y = float((box.y1 + box.y2) / 2.0 / s);
  label.w = float((box.x2 - box.x1) / s);
  label.h = float((box.y2 - box.y1) / s);
  scene.labels.push_back(label);
  return true;
}

}  // namespace

const std::vector<std::string>& scene_names() {
  static const std::vector<std::string> kNames{"balloon", "kite", "plane", "bird", "house",
                                               "tree",    "car",  "sheep", "tent", "sunflower"};
  return kNames;
}

Scene draw_scene(uint64_t seed, int64_t index, int size) {
  RandomStream random(seed, kStream, uint64_t(index));
  Scene scene{Image(size, size), {}};
  const Light& light = kLights[size_t(random.below(int64_t(kLights.size())))];
  const double horizon = random.uniform(0.42, 0.58) * size;
  paint_sky(scene.image, light, horizon, random);
  paint_ridge(scene.image, horizon, 0.3 * size, 7, mix(light.mountain, light.horizon, 0.4), random);
  paint_ridge(scene.image, horizon, 0.16 * size, 9, light.mountain, random);
  paint_meadow(scene.image, light, horizon, random);

  std::vector<PaintedBox> taken;
  const int wanted = 3 + int(random.below(7));
  for (int tries = 0; tries < 60 && int(taken.size()) < wanted; ++tries)
    place_object(scene, taken, horizon, random);
  return scene;
}

}  // namespace mtyolo::data::demo
