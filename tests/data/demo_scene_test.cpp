#include <catch2/catch.hpp>
#include <set>

#include "data/demo/painter.h"
#include "data/demo/scene.h"

using namespace mtyolo::data;

TEST_CASE("data: a polygon covers pixels by the part inside, and its box holds those at least half covered") {
  Image image(8, 6, 0);
  demo::PaintedBox box;
  const std::vector<demo::Vec2> square{{1.5, 1}, {4, 1}, {4, 3.25}, {1.5, 3.25}};
  demo::fill_polygon(image, square, {200, 100, 0}, &box);
  CHECK(int(image.row(1)[2 * 3]) == 200);
  CHECK(int(image.row(2)[3 * 3 + 1]) == 100);
  CHECK(int(image.row(1)[1 * 3]) == 100);  // half covered
  CHECK(int(image.row(3)[2 * 3]) == 50);   // a quarter
  CHECK(int(image.row(1)[4 * 3]) == 0);
  CHECK(box.x1 == 1);
  CHECK(box.y1 == 1);
  CHECK(box.x2 == 4);
  CHECK(box.y2 == 3);
}

TEST_CASE("data: what lies outside the picture is cut") {
  Image image(4, 4, 9);
  const std::vector<demo::Vec2> large{{-50, -50}, {70, -40}, {60, 80}, {-40, 60}};
  demo::fill_polygon(image, large, {1, 2, 3});
  CHECK(int(image.row(0)[0]) == 1);
  CHECK(int(image.row(3)[3 * 3 + 2]) == 3);
}

TEST_CASE("data: a drawn scene depends on seed and number alone, and its objects hardly cover each other") {
  const demo::Scene a = demo::draw_scene(1, 5, 160), b = demo::draw_scene(1, 5, 160);
  CHECK(a.image.pixels == b.image.pixels);
  CHECK(a.labels.size() == b.labels.size());
  CHECK(demo::draw_scene(2, 5, 160).image.pixels != a.image.pixels);

  std::set<int> classes;
  for (int64_t i = 0; i < 40; ++i) {
    const demo::Scene scene = demo::draw_scene(3, i, 160);
    CHECK(scene.labels.size() >= 1);
    for (const Label& l : scene.labels) {
      classes.insert(l.cls);
      CHECK(l.x - l.w / 2 >= -1e-6f);
      CHECK(l.x + l.w / 2 <= 1 + 1e-6f);
      CHECK(l.y + l.h / 2 <= 1 + 1e-6f);
      CHECK(l.w * 160 >= 4);
      if (l.cls < demo::kSkyClasses) CHECK(l.y < 0.7f);
      else CHECK(l.y > 0.4f);
    }
  }
  CHECK(classes.size() == demo::scene_names().size());
}
