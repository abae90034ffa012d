// Reading, letterbox and load_image. The augmentations of this kind are not built yet.
#include <set>

#include "core/log.h"
#include "data/image.h"
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

}  // namespace

void run_letterbox_case(const GoldenCase& c) {
  const std::string op = c.info.at("op");
  if (op == "decode") return run_decode(c);
  if (op == "letterbox") return run_letterbox(c);
  if (op == "load_image") return run_load_image(c);
  throw GoldenNotBuilt("augmentation " + op + " is not built yet");
}

}  // namespace mtyolo::test
