#include "data/demo/shapes.h"

#include <array>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace mtyolo::data::demo {
namespace {

// Pen: shapes in units of the object, x to the right, y downwards, the object about within -1..1.
class Pen {
 public:
  Pen(Image& image, Vec2 at, double reach, double angle, bool mirrored)
      : image_(image),
        at_(at),
        reach_(reach),
        cos_(std::cos(angle)),
        sin_(std::sin(angle)),
        side_(mirrored ? -1 : 1) {}

  void polygon(std::vector<Vec2> points, Rgb colour) {
    for (Vec2& p : points) {
      const double x = p.x * side_ * reach_, y = p.y * reach_;
      p = {at_.x + x * cos_ - y * sin_, at_.y + x * sin_ + y * cos_};
    }
    fill_polygon(image_, points, colour, &box_);
  }
  void oval(Vec2 centre, double rx, double ry, Rgb colour) { polygon(ellipse(centre, rx, ry), colour); }
  void bar(double x1, double y1, double x2, double y2, Rgb colour) {
    polygon({{x1, y1}, {x2, y1}, {x2, y2}, {x1, y2}}, colour);
  }
  const PaintedBox& box() const { return box_; }

 private:
  Image& image_;
  Vec2 at_;
  double reach_, cos_, sin_, side_;
  PaintedBox box_;
};

constexpr Rgb kBlack{38, 36, 40}, kWhite{246, 244, 238};

Rgb pick(RandomStream& random) {
  static constexpr std::array<Rgb, 6> kPaints{Rgb{206, 58, 52}, {236, 168, 44}, {58, 110, 196},
                                              {150, 72, 160},   {38, 148, 136}, {228, 110, 70}};
  return mix(kPaints[size_t(random.below(6))], kWhite, random.uniform(0, 0.2));
}

void balloon(Pen& pen, RandomStream& random) {
  const Rgb first = pick(random), second = mix(first, kWhite, 0.6);
  pen.bar(-0.05, 0.6, -0.02, 1.1, kBlack);
  pen.bar(0.02, 0.6, 0.05, 1.1, kBlack);
  pen.oval({0, -0.2}, 1, 1.05, first);
  pen.oval({0, -0.2}, 0.62, 1.05, second);
  pen.oval({0, -0.2}, 0.24, 1.05, first);
  pen.bar(-0.22, 1.0, 0.22, 1.35, {124, 84, 50});
}

void kite(Pen& pen, RandomStream& random) {
  const Rgb first = pick(random), second = pick(random);
  pen.polygon({{-0.04, 0.8}, {0.3, 1.3}, {0.0, 1.7}, {0.12, 1.72}, {0.42, 1.3}, {0.04, 0.8}}, kBlack);
  pen.polygon({{0, -1.2}, {0, 0.9}, {-0.9, -0.3}}, first);
  pen.polygon({{0, -1.2}, {0.9, -0.3}, {0, 0.9}}, second);
  pen.bar(-0.03, -1.2, 0.03, 0.9, kWhite);
}

void plane(Pen& pen, RandomStream& random) {
  const Rgb body = mix(kWhite, pick(random), 0.12), wing = pick(random);
  pen.polygon({{0.5, -0.1}, {0.8, -0.75}, {1.05, -0.75}, {0.95, 0}}, wing);
  pen.polygon({{-0.2, -0.1}, {0.35, -0.5}, {0.55, -0.5}, {0.3, -0.1}}, mix(wing, kBlack, 0.3));
  pen.oval({0, 0}, 1, 0.28, body);
  pen.polygon({{-0.3, 0.05}, {0.35, 0.75}, {0.65, 0.75}, {0.3, 0.05}}, wing);
  for (double x = -0.6; x < 0.5; x += 0.25) pen.oval({x, -0.08}, 0.08, 0.08, {70, 110, 150});
}

void bird(Pen& pen, RandomStream& random) {
  const Rgb feathers = mix(kBlack, {110, 110, 130}, random.uniform());
  const double lift = random.uniform(0.3, 0.7);
  pen.polygon({{-1, -lift},
               {-0.5, -lift - 0.12},
               {0, 0.05},
               {0.5, -lift - 0.12},
               {1, -lift},
               {0.45, -lift + 0.18},
               {0.1, 0.3},
               {-0.1, 0.3},
               {-0.45, -lift + 0.18}},
              feathers);
  pen.oval({0.02, 0.16}, 0.16, 0.3, feathers);
  pen.polygon({{-0.05, 0.42}, {0.05, 0.6}, {0.13, 0.42}}, {238, 170, 50});
}

void house(Pen& pen, RandomStream& random) {
  const Rgb wall = mix({232, 214, 184}, pick(random), 0.18);
  pen.bar(0.35, -0.95, 0.6, -0.3, {140, 82, 68});
  pen.bar(-0.85, -0.2, 0.85, 0.95, wall);
  pen.polygon({{-1.05, -0.15}, {0, -1.05}, {1.05, -0.15}}, {150, 60, 50});
  pen.bar(-0.16, 0.35, 0.2, 0.95, {96, 64, 44});
  for (double x : {-0.62, 0.4}) pen.bar(x, 0.1, x + 0.28, 0.42, {250, 226, 130});
}

void tree(Pen& pen, RandomStream& random) {
  const Rgb leaves = mix({34, 94, 52}, {96, 140, 50}, random.uniform());
  pen.bar(-0.13, 0.5, 0.13, 1.3, {104, 72, 46});
  for (double y : {0.65, 0.1, -0.45})
    pen.polygon({{-0.85 + (0.65 - y) * 0.28, y}, {0, y - 0.85}, {0.85 - (0.65 - y) * 0.28, y}},
                mix(leaves, kWhite, (0.65 - y) * 0.1));
}

void car(Pen& pen, RandomStream& random) {
  const Rgb paint = pick(random);
  pen.polygon({{-0.55, -0.1}, {-0.35, -0.48}, {0.3, -0.48}, {0.6, -0.1}}, paint);
  pen.polygon({{-0.42, -0.1}, {-0.28, -0.38}, {-0.04, -0.38}, {-0.04, -0.1}}, {190, 220, 236});
  pen.polygon({{0.04, -0.1}, {0.04, -0.38}, {0.26, -0.38}, {0.46, -0.1}}, {190, 220, 236});
  pen.bar(-1, -0.12, 1, 0.28, paint);
  for (double x : {-0.55, 0.55}) {
    pen.oval({x, 0.3}, 0.23, 0.23, kBlack);
    pen.oval({x, 0.3}, 0.1, 0.1, {190, 190, 190});
  }
}

void sheep(Pen& pen, RandomStream& random) {
  const Rgb wool = mix(kWhite, {206, 198, 180}, random.uniform());
  for (double x : {-0.45, -0.2, 0.25, 0.45}) pen.bar(x - 0.05, 0.2, x + 0.05, 0.72, kBlack);
  for (double x : {-0.5, 0.0, 0.45}) pen.oval({x, x == 0 ? -0.12 : 0}, 0.46, 0.4, wool);
  pen.oval({0.85, -0.2}, 0.24, 0.2, kBlack);
  pen.oval({0.92, -0.26}, 0.04, 0.04, kWhite);
}

void tent(Pen& pen, RandomStream& random) {
  const Rgb cloth = pick(random);
  pen.polygon({{-0.3, -0.7}, {1.05, 0.62}, {0.35, 0.62}}, mix(cloth, kBlack, 0.35));
  pen.polygon({{-0.3, -0.7}, {0.4, 0.62}, {-1.0, 0.62}}, cloth);
  pen.polygon({{-0.3, -0.35}, {-0.02, 0.62}, {-0.58, 0.62}}, kBlack);
}

void sunflower(Pen& pen, RandomStream& random) {
  const Rgb petals = mix({250, 206, 40}, {240, 150, 30}, random.uniform());
  pen.bar(-0.07, 0, 0.07, 1.5, {66, 124, 50});
  pen.polygon({{0, 1.05}, {0.62, 0.72}, {0.3, 1.15}}, {66, 124, 50});
  for (int i = 0; i < 10; ++i) {
    const double angle = 2 * std::numbers::pi * i / 10;
    pen.oval({0.6 * std::cos(angle), -0.4 + 0.6 * std::sin(angle)}, 0.27, 0.27, petals);
  }
  pen.oval({0, -0.4}, 0.44, 0.44, {92, 58, 34});
}

}  // namespace

PaintedBox draw_object(Image& image, int cls, Vec2 at, double reach, RandomStream& random) {
  using Draw = void (*)(Pen&, RandomStream&);
  static constexpr std::array<Draw, 10> kObjects{balloon, kite, plane, bird, house,
                                                 tree,    car,  sheep, tent, sunflower};
  MTYOLO_CHECK(cls >= 0 && size_t(cls) < kObjects.size(), "demo scene: class {}", cls);
  const double tilt = cls < 4 ? random.uniform(-0.2, 0.2) : random.uniform(-0.04, 0.04);
  Pen pen(image, at, reach, tilt, random.below(2) == 1);
  kObjects[size_t(cls)](pen, random);
  return pen.box();
}

}  // namespace mtyolo::data::demo
