// Reading, letterbox, load_image and the augmentations with given numbers.
#include <set>

#include "core/log.h"
#include "data/augment/hsv.h"
#include "data/augment/mixup.h"
#include "data/augment/mosaic.h"
#include "data/augment/perspective.h"
#include "tests/golden/kinds.h"

namespace mtyolo::test {
namespace {

using data::Image;

// Goldens hold C,H,W; images H,W,C.
Image image_from(const Tensor& chw) {
  Image image(int(chw.size(2)), int(chw.size(1)));
  const Tensor hwc = chw.permute({1, 2, 0}).contiguous();
  std::copy_n(hwc.data<uint8_t>(), image.pixels.size(), image.pixels.data());
  return image;
}

void expect_image(const std::string& what, const Image& got, const Tensor& expected, double max_abs,
                  double mean_abs) {
  expect(got.width == expected.size(2) && got.height == expected.size(1), "{}: {} x {}, expected {} x {}",
         what, got.width, got.height, expected.size(2), expected.size(1));
  const Image want = image_from(expected);
  int worst = 0;
  double sum = 0;
  for (size_t i = 0; i < got.pixels.size(); ++i) {
    const int difference = std::abs(int(got.pixels[i]) - int(want.pixels[i]));
    worst = std::max(worst, difference);
    sum += difference;
  }
  expect(worst <= max_abs && sum / double(got.pixels.size()) <= mean_abs,
         "{}: differs by up to {} (limit {}), on average {:.4f} (limit {})", what, worst, max_abs,
         sum / double(got.pixels.size()), mean_abs);
}

void run_decode(const GoldenCase& c) {
  const std::set<std::string> lossless{".png", ".bmp"};
  const auto& tolerance = c.info.at("tolerance");
  const auto folder = c.resolve(c.info.at("image_folder"));
  for (const auto& item : c.info.at("images").items()) {
    const std::string file = item.key();
    try {
      const bool exact = lossless.contains(std::filesystem::path(file).extension().string());
      const double max_abs =
          exact ? tolerance.value("lossless_max_abs", 0.0) : tolerance.at("max_abs").get<double>();
      expect_image(file, data::read_image((folder / file).string()), c.tensor("decoded." + file), max_abs,
                   exact ? 0.0 : tolerance.at("mean_abs").get<double>());
    } catch (const Error& e) {
      if (e.info().code != "image_format") throw;
      log::warning("{}: not compared: {}", file, e.info().message);  // a format this build has no decoder for
    }
  }
}

void expect_number(const std::string& what, double got, double expected) {
  expect(std::abs(got - expected) < 1e-12 * std::max(1.0, std::abs(expected)), "{}: {}, expected {}", what,
         got, expected);
}

void run_letterbox(const GoldenCase& c) {
  for (const auto& item : c.info.at("cases")) {
    const auto& shape = item.at("new_shape");
    const int rows = shape.is_array() ? shape.at(0).get<int>() : shape.get<int>();
    const int columns = shape.is_array() ? shape.at(1).get<int>() : shape.get<int>();
    const std::string out = item.at("out");
    data::Letterbox done;
    const Image got = data::letterbox(image_from(c.tensor(item.at("in"))),
                                      {.width = columns,
                                       .height = rows,
                                       .auto_pad = item.at("auto"),
                                       .scale_up = item.at("scaleup"),
                                       .stride = item.at("stride"),
                                       .stretch = item.value("scaleFill", false)},
                                      done);
    expect_image(out, got, c.tensor(out), 0, 0);
    expect_number(out + " ratio", done.scale, item.at("ratio").at(0));
    expect_number(out + " ratio of heights", done.scale_y, item.at("ratio").at(1));
    expect_number(out + " pad x", done.pad_x, item.at("pad_wh").at(0));
    expect_number(out + " pad y", done.pad_y, item.at("pad_wh").at(1));
  }
}

void run_load_image(const GoldenCase& c) {
  for (const auto& item : c.info.at("cases")) {
    const std::string out = item.at("out");
    const Image got =
        data::load_scaled(image_from(c.tensor(item.at("in"))), item.at("img_size"), item.at("augment"));
    expect_image(out, got, c.tensor(out), 0, 0);
  }
}

void expect_image(const GoldenCase& c, const std::string& name, const Image& got) {
  const auto& tolerance = c.info.at("tolerance");
  expect_image(name, got, c.tensor(name), tolerance.at("max_abs"), tolerance.at("mean_abs"));
}

// Rows class, x1, y1, x2, y2.
std::vector<data::PixelLabel> labels_from(const Tensor& rows) {
  std::vector<data::PixelLabel> labels;
  for (int64_t i = 0; i < rows.size(0); ++i) {
    const float* r = rows.data<float>() + i * 5;
    labels.push_back({int(r[0]), r[1], r[2], r[3], r[4], {}});
  }
  return labels;
}

void expect_labels(const GoldenCase& c, const std::string& name, const std::vector<data::PixelLabel>& got) {
  std::vector<float> rows;
  for (const auto& l : got) rows.insert(rows.end(), {float(l.cls), l.x1, l.y1, l.x2, l.y2});
  expect_close(name, Tensor::from(rows, {int64_t(got.size()), 5}), c.tensor(name),
               tolerance_from(c.info.at("tolerance").at("labels")));
}

void run_perspective(const GoldenCase& c) {
  data::Canvas in, out;
  in.image = image_from(c.tensor("in"));
  in.labels = labels_from(c.tensor("labels_in"));
  const Tolerance limit = tolerance_from(c.info.at("tolerance").at("M"));
  for (const auto& item : c.info.at("cases")) {
    const auto& d = item.at("drawn");
    const data::PerspectiveDraws draws{d.at("perspective_x"), d.at("perspective_y"), d.at("angle_deg"),
                                       d.at("scale"),         d.at("shear_x_deg"),   d.at("shear_y_deg"),
                                       d.at("translate_x"),   d.at("translate_y")};
    const int by = item.at("border_hw").at(0), bx = item.at("border_hw").at(1);
    const auto m = data::perspective_matrix(draws, in.image.width, in.image.height, in.image.width + 2 * bx,
                                            in.image.height + 2 * by);
    for (size_t i = 0; i < 9; ++i) {
      const double expected = item.at("M").at(i / 3).at(i % 3);
      expect(std::abs(m[i] - expected) <= limit.abs + limit.rel * std::abs(expected),
             "{}: matrix element {} is {}, expected {}", item.at("name").get<std::string>(), i, m[i],
             expected);
    }
    data::random_perspective(in, draws, bx, by, item.at("perspective"), out);
    expect_image(c, item.at("out"), out.image);
    expect_labels(c, item.at("labels_out"), out.labels);
  }
}

void run_hsv(const GoldenCase& c) {
  for (const auto& item : c.info.at("cases")) {
    Image image = image_from(c.tensor("in"));
    const auto& gains = item.at("gains_hsv");
    data::jitter_hsv(image, {gains.at(0), gains.at(1), gains.at(2)});
    expect_image(c, item.at("out"), image);
  }
}

void run_mixup(const GoldenCase& c) {
  data::Canvas a, b;
  a.image = image_from(c.tensor("a"));
  b.image = image_from(c.tensor("b"));
  data::mixup(a, b, c.info.at("ratio"));
  expect_image(c, "out", a.image);
}

data::Sample sample_from(const nlohmann::json& rows) {
  data::Sample sample;
  for (const auto& r : rows)
    sample.labels.push_back({int(r.at(0).get<double>()), r.at(1), r.at(2), r.at(3), r.at(4), {}, false});
  return sample;
}

void run_mosaic(const GoldenCase& c) {
  const auto folder = c.resolve(c.info.at("image_folder"));
  for (const auto& item : c.info.at("cases")) {
    const int size = item.at("img_size");
    std::map<std::string, data::Sample> samples;
    for (const auto& labels : item.at("labels_by_image").items())
      samples[labels.key()] = sample_from(labels.value());
    std::vector<data::Tile> tiles;
    for (const std::string file : item.at("image_order")) {
      const Image image = data::load_scaled(data::read_image((folder / file).string()), size, true);
      tiles.push_back({0, &samples.at(file), {image.width, image.height}, std::make_shared<Image>(image)});
    }
    data::Canvas assembled, out;
    data::mosaic(tiles, size,
                 {int(item.at("centre_x").get<double>()), int(item.at("centre_y").get<double>())}, assembled);
    const std::string name = item.at("assembled");
    expect_image(name, assembled.image, c.tensor(name), c.info.at("tolerance").at("assembled_max_abs"),
                 c.info.at("tolerance").at("mean_abs"));
    expect_labels(c, item.at("assembled_labels"), assembled.labels);
    data::PerspectiveDraws draws;
    draws.scale = item.at("scale");
    draws.translate_x = item.at("translate_x");
    draws.translate_y = item.at("translate_y");
    data::random_perspective(assembled, draws, -size / 2, -size / 2, false, out);
    expect_image(c, item.at("out"), out.image);
    expect_labels(c, item.at("labels_out"), out.labels);
  }
}

}  // namespace

void run_letterbox_case(const GoldenCase& c) {
  const std::string op = c.info.at("op");
  if (op == "decode") return run_decode(c);
  if (op == "letterbox") return run_letterbox(c);
  if (op == "load_image") return run_load_image(c);
  if (op == "random_perspective") return run_perspective(c);
  if (op == "augment_hsv") return run_hsv(c);
  if (op == "mosaic") return run_mosaic(c);
  if (op == "mixup") return run_mixup(c);
  throw GoldenNotBuilt("augmentation " + op + " is not built yet");
}

}  // namespace mtyolo::test
