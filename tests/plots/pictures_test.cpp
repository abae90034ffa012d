#include "train/plots/pictures.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <set>

#include "core/file.h"
#include "tests/plots/metrics_samples.h"
#include "tests/support/temp_folder.h"
#include "train/plots/chart.h"

using namespace mtyolo;
using namespace mtyolo::train;
using test::count_colour;
using test::pixel;
using test::sample_metrics;
using test::sample_names;

namespace {

const double kNan = std::nan("");

ResultsTable sample_results(int epochs) {
  ResultsTable table{{"epoch", "train/box_loss", "train/cls_loss", "metrics/mAP_0.5", "a/metrics/mAP_0.5"},
                     {}};
  for (int e = 0; e < epochs; ++e)
    table.rows.push_back({double(e), 1.0 / (e + 1), 0, e % 2 == 0 ? 0.1 * e : kNan, 0.05 * e});
  return table;
}

// Two images of 40 x 30, the first red, the second green.
data::Batch sample_batch() {
  data::Batch batch;
  batch.images = Tensor::zeros(Shape{2, 3, 30, 40}, DType::kU8);
  uint8_t* values = batch.images.data<uint8_t>();
  std::fill_n(values, 1200, uint8_t(220));
  std::fill_n(values + 3600 + 1200, 1200, uint8_t(220));
  batch.labelled = {1, 3};
  batch.indices = {0, 1};
  batch.paths = {"/somewhere/red.jpg", "green.jpg"};
  return batch;
}

}  // namespace

TEST_CASE("plots: classes have names and the colours of their heads", "[plots]") {
  const ClassTable one({"cat", "\xe7\x8c\xab"});
  CHECK(one.name(1) == "\xe7\x8c\xab");
  CHECK(one.label(0) == "cat");
  CHECK(one.label(1) == "class 1");
  CHECK(one.name(7) == "class 7");
  CHECK(one.colour(1) == data::class_colour(1));
  CHECK(one.head_name(0).empty());
  const ClassTable two({"cat", "dog", "car"}, {{"animals", {0, 1}, 1}, {"things", {2}, 1}});
  CHECK(two.colour(2) == data::class_colour(0, 1, 2));
  CHECK(two.head_name(2) == "things");
  CHECK(two.head_index(1) == 0);
  CHECK(two.colour(-1) == two.colour(99));
}

TEST_CASE("plots: columns of the results are found by name", "[plots]") {
  const ResultsTable table = sample_results(3);
  CHECK(table.column("train/box_loss") == std::vector<double>{1, 0.5, 1.0 / 3});
  CHECK(table.column("nothing").empty());
  CHECK(std::isnan(ResultsTable{{"a", "b"}, {{1}}}.column("b")[0]));
}

TEST_CASE("plots: results have ten panels, drawn where there are numbers", "[plots]") {
  const data::Image empty = draw_results({}), full = draw_results(sample_results(10));
  CHECK(full.width >= 2400);
  CHECK(full.width == empty.width);
  CHECK(count_colour(empty, series_colour(0)) == 0);
  // The lines of box loss and of both mAP; losses of zero are hidden.
  const auto blue = [&](double x1, double x2, double y1, double y2) {
    int n = 0;
    for (int y = int(y1 * full.height); y < int(y2 * full.height); ++y)
      for (int x = int(x1 * full.width); x < int(x2 * full.width); ++x)
        n += pixel(full, x, y) == series_colour(0) ? 1 : 0;
    return n;
  };
  CHECK(blue(0, 0.2, 0.1, 0.5) > 500);
  CHECK(blue(0.4, 0.6, 0.1, 0.5) == 0);
  CHECK(blue(0.6, 0.8, 0.55, 1) > 500);
  CHECK(draw_results(sample_results(1)).width == full.width);
  const ResultsTable bad{{"epoch", "train/box_loss"}, {{kNan, 1}, {1, INFINITY}, {2, kNan}, {3}}};
  CHECK(draw_results(bad).width == full.width);
}

TEST_CASE("plots: curves are drawn for any number of classes", "[plots]") {
  for (const int nc : {0, 1, 3, 20, 21, 80}) {
    const CurveKind kind = nc % 2 == 0 ? CurveKind::kF1 : CurveKind::kPrecisionRecall;
    const data::Image image =
        draw_curve(kind, sample_metrics(nc, true), ClassTable(sample_names(nc)), "subtitle");
    INFO(nc);
    CHECK(image.width == 2400);
    // The mean is the one thick dark line; with one class of NaN there is none.
    CHECK((count_colour(image, kInk) > 5000) == (nc > 1));
  }
  CHECK(std::string(curve_name(CurveKind::kRecall)) == "R_curve");
}

TEST_CASE("plots: the confusion matrix has its counts in the right cells", "[plots]") {
  ConfusionMatrix matrix{2, {0, 0, 0, 100, 0, 0, 0, 0, 0}};  // predicted 1, true 0: 100
  const data::Image image = draw_confusion_matrix(matrix, ClassTable({"a", "b"}), false);
  // Row = predicted, column = true: the full cell is the left one in the middle row.
  const Rgb full{127, 39, 4};
  int64_t sum_x = 0, sum_y = 0, n = 0;
  int left = image.width, right = 0;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width - 200; ++x)
      if (pixel(image, x, y) == full)
        sum_x += x, sum_y += y, ++n, left = std::min(left, x), right = std::max(right, x);
  REQUIRE(n > 0);
  const double side = right - left + 1;
  CHECK(side == Approx(1960 / 3.0).margin(5));
  CHECK(double(n) == Approx(side * side).epsilon(0.03));
  CHECK(double(sum_y) / double(n) == Approx(110 + 1960 / 2.0).margin(12));
  CHECK(double(sum_x) / double(n) == Approx(left + side / 2).margin(12));
}

TEST_CASE("plots: the diagonal is blue, and columns are normalised by the true class", "[plots]") {
  ConfusionMatrix matrix{1, {30, 5, 10, 0}};
  const data::Image image = draw_confusion_matrix(matrix, ClassTable({"a"}), true);
  CHECK(count_colour(image, heat_colour(30 / (40 + 1e-6))) > 500000);
  CHECK(count_colour(image, heat_colour(1)) < 100000);  // only the key
}

TEST_CASE("plots: confusion matrices of any size and without counts are drawn", "[plots]") {
  for (const int nc : {0, 1, 80, 365}) {
    const ConfusionMatrix matrix{nc, std::vector<int64_t>(size_t((nc + 1) * (nc + 1)))};
    CHECK(draw_confusion_matrix(matrix, ClassTable(sample_names(nc)), true).width >= 2000);
  }
  CHECK(draw_confusion_matrix({3, {}}, {}, false).width >= 2000);
  const ConfusionMatrix three{3, std::vector<int64_t>(16, 7)};
  CHECK(draw_confusion_matrix(three, ClassTable(sample_names(3)), false, {2}).width >= 2000);
}

TEST_CASE("plots: every head gets its pictures", "[plots]") {
  const ClassTable classes(sample_names(3), {{"a", {0, 2}, 1}, {"b", {1}, 1}});
  const ConfusionMatrix matrix{3, std::vector<int64_t>(16, 7)};
  std::set<std::string> names;
  for (const PictureFile& file : draw_metrics(sample_metrics(3), matrix, classes)) {
    names.insert(file.name);
    CHECK(file.bytes.substr(1, 3) == "PNG");
  }
  CHECK(names.size() == 18);
  CHECK(names.contains("PR_curve.png"));
  CHECK(names.contains("confusion_matrix_normalized_a.png"));
  CHECK(names.contains("F1_curve_b.png"));
}

TEST_CASE("plots: labels show how often each class occurs", "[plots]") {
  std::vector<BoxSample> boxes(300, BoxSample{0, 0.5f, 0.5f, 0.2f, 0.2f});
  for (int i = 0; i < 100; ++i) boxes.push_back({1, 0.25f, 0.25f, 0.1f, 0.1f});
  boxes.push_back({7, 0.5f, 0.5f, float(kNan), 0.1f});
  const data::Image image = draw_labels(boxes, ClassTable({"a", "b"}));
  CHECK(image.width == 2400);
  // Three times the boxes, three times the bar.
  int left = 0, right = 0;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      if (pixel(image, x, y) == series_colour(0)) ++(x < image.width / 2 ? left : right);
  CHECK(left > 10000);
  CHECK(double(left) / right == Approx(3).epsilon(0.02));
  for (const int nc : {0, 1, 80, 1000}) {
    CHECK(draw_labels(boxes, ClassTable(sample_names(nc))).width == 2400);
    CHECK(draw_labels({}, ClassTable(sample_names(nc))).width == 2400);
  }
  CHECK(draw_label_correlogram(boxes).width > 2000);
  CHECK(draw_label_correlogram({}).width > 2000);
}

TEST_CASE("plots: anchors lie over the boxes", "[plots]") {
  AnchorFit fit;
  for (int i = 1; i < 100; ++i) fit.sizes.push_back({float(i * 5), float(i * 3)});
  fit.sizes.push_back({0, -1});
  fit.sizes.push_back({float(kNan), 5});
  const int without = count_colour(draw_anchors(fit), series_colour(1));
  fit.anchors = {{{10, 13}, {16, 30}}, {{62, 45}}};
  CHECK(without == 0);
  CHECK(count_colour(draw_anchors(fit), series_colour(1)) > 2 * 400);
  CHECK(draw_anchors({}).width == 2000);
  fit.sizes = {{1e30f, 1e30f}};
  CHECK(draw_anchors(fit).width == 2000);
}

TEST_CASE("plots: a batch is tiled column by column with its labels", "[plots]") {
  data::Batch batch = sample_batch();
  batch.targets = {{0, 0, 0.5f, 0.5f, 0.5f, 0.5f}, {9, 0, 0.5f, 0.5f, 0.5f, 0.5f}};
  const ClassTable classes({"a", "b"}, {{"a", {0}, 1}, {"b", {1}, 1}});
  const data::Image image = draw_batch_labels(batch, classes);
  // Two tiles of 40 x 30, enlarged eight times, below each other, each with a line of text above and 4 pixels
  // around.
  CHECK(image.width == 4 + 324);
  CHECK(image.height == 4 + 2 * (240 + 26 + 4));
  CHECK(pixel(image, 4 + 2, 30 + 2) == Rgb{220, 0, 0});
  CHECK(pixel(image, 4 + 2, 300 + 2) == Rgb{0, 220, 0});
  CHECK(pixel(image, 4 + 80, 30 + 120) == classes.colour(0));
}

TEST_CASE("plots: predictions go through the letterbox, and weak ones are hidden", "[plots]") {
  data::Batch batch = sample_batch();
  data::Letterbox fit;
  fit.scale = fit.scale_y = 0.5, fit.left = 4, fit.top = 2;
  batch.letterboxes = {fit, fit};
  const std::vector<std::vector<ScoredBox>> found{{{10, 40, 60, 54, 0.9f, 0}}, {{10, 40, 60, 54, 0.2f, 0}}};
  const ClassTable classes({"a"});
  const data::Image image = draw_batch_predictions(batch, found, classes);
  CHECK(pixel(image, 4 + 8 * 9, 30 + 200) == classes.colour(0));  // the left edge
  CHECK(pixel(image, 4 + 8 * 9 - 1, 30 + 200) == Rgb{220, 0, 0});
  CHECK(pixel(image, 4 + 8 * 9, 300 + 200) == Rgb{0, 220, 0});
  CHECK(draw_batch_predictions({}, {}, classes).width > 0);
}

TEST_CASE("plots: mosaics keep to their side and to sixteen tiles", "[plots]") {
  std::vector<MosaicTile> tiles;
  for (int i = 0; i < 20; ++i)
    tiles.push_back({data::Image(i % 2 ? 700 : 300, 500, uint8_t(i)), std::string(100, 'x'), "note", {}});
  tiles.push_back({});
  const data::Image image = draw_mosaic(tiles);
  CHECK(image.width <= kMosaicSide);
  CHECK(image.height <= kMosaicSide + 30);
  CHECK(image.width > kMosaicSide * 9 / 10);
  CHECK(draw_mosaic({}).width > 0);
  CHECK(draw_mosaic({{data::Image(1, 1), "", "", {{0, 0, 1, 1, "x", {}}}}}).width > 0);
}

TEST_CASE("plots: an image's errors are counted box by box", "[plots]") {
  ImageResult image;
  image.truth = {{0, 0, 10, 10, 0}, {20, 20, 30, 30, 0}, {50, 50, 60, 60, 1}};
  image.found = {{0, 0, 10, 10, 0.9f, 0},     // right
                 {0, 1, 10, 10, 0.8f, 0},     // the same once more
                 {20, 20, 30, 30, 0.7f, 1},   // wrong class
                 {50, 50, 60, 60, 0.2f, 1}};  // too weak
  const ImageScore score = score_image(image, 4);
  CHECK(score.index == 4);
  CHECK(score.right == 1);
  CHECK(score.false_positives == 2);
  CHECK(score.missed == 2);
  CHECK(score.f1 == Approx(2.0 / 6));
  image.truth[2].crowd = true;
  CHECK(score_image(image).missed == 1);
  CHECK(score_image({}).f1 == 1);
}

TEST_CASE("plots: the worst images come first, perfect ones never", "[plots]") {
  ImageResult perfect, missed, noisy;
  perfect.truth = {{0, 0, 10, 10, 0}};
  perfect.found = {{0, 0, 10, 10, 0.9f, 0}};
  missed.truth = {{0, 0, 10, 10, 0}};
  noisy.found = {{0, 0, 10, 10, 0.9f, 0}, {20, 0, 30, 10, 0.9f, 0}};
  const std::vector<ImageResult> images{perfect, missed, noisy};
  const auto worst = worst_images(images, 5);
  REQUIRE(worst.size() == 2);
  CHECK(worst[0].index == 2);
  CHECK(worst[1].index == 1);
  CHECK(worst_images(images, 1).size() == 1);
  CHECK(worst_images(images, -1).empty());
  const data::Image drawn = draw_errors(data::Image(1280, 640, 90), missed, ClassTable({"a"}));
  CHECK(drawn.width == 640);
  CHECK(draw_errors(data::Image(100, 50), missed, ClassTable({"a"})).width == 640);
  CHECK(draw_errors({}, missed, ClassTable({"a"})).width == 0);
  CHECK(count_colour(drawn, {240, 150, 0}) > 10);
}

TEST_CASE("plots: a preview is a JPEG of at most the side asked for", "[plots]") {
  const Preview p = preview("a.jpg", data::Image(2000, 1000, 90), 500);
  CHECK(p.width == 500);
  CHECK(p.height == 250);
  CHECK(p.file.bytes.starts_with("\xff\xd8"));
  const Preview same = preview("a.jpg", data::Image(40, 30), 500);
  CHECK(same.width == 40);
  CHECK(preview("a.jpg", data::Image(3000, 1), 300).height == 1);
  data::Image noise(400, 400);
  for (size_t i = 0; i < noise.pixels.size(); ++i) noise.pixels[i] = uint8_t(i * i * 31 >> 7);
  CHECK(preview("a.jpg", noise, 400, 30000).file.bytes.size() <= 30000);
  CHECK(preview("a.jpg", noise, 400, 1).width >= 75);
}

TEST_CASE("plots: pictures are written by their ending", "[plots]") {
  const test::TempFolder folder;
  const data::Image image(20, 10, 90);
  write_picture(folder.path(), encode_picture("a.png", image));
  write_picture(folder.path(), encode_picture("a.jpg", image));
  write_picture(folder.path(), encode_picture("P_curve_../../x.png", image));
  CHECK(std::filesystem::exists(folder.path("P_curve_.._.._x.png")));
  CHECK(read_file(folder.path("a.png"), 1 << 20).substr(1, 3) == "PNG");
  CHECK(read_file(folder.path("a.jpg"), 1 << 20).substr(0, 2) == "\xff\xd8");
}
