#include "cli/demo_data.h"

#include <fmt/ranges.h>
#include <filesystem>

#include "core/file.h"
#include "data/demo/scene.h"
#include "data/encode.h"

namespace mtyolo::cli {
namespace {

namespace fs = std::filesystem;

// Adam, no warm-up and no mosaic: fastest to a good network in the few hundred steps there are.
constexpr const char* kHyp =
    "lr0: 0.003\nlrf: 0.05\nmomentum: 0.9\nweight_decay: 0.0005\nwarmup_epochs: 0\nwarmup_momentum: 0.8\n"
    "warmup_bias_lr: 0.1\nbox: 0.05\ncls: 0.5\ncls_pw: 1\nobj: 1\nobj_pw: 1\niou_t: 0.2\nanchor_t: 4\n"
    "fl_gamma: 0\nhsv_h: 0.015\nhsv_s: 0.3\nhsv_v: 0.2\ndegrees: 0\ntranslate: 0.1\nscale: 0.2\nshear: 0\n"
    "perspective: 0\nflipud: 0\nfliplr: 0.5\nmosaic: 0\nmixup: 0\ncopy_paste: 0\npaste_in: 0\nloss_ota: 1\n";

void draw_split(Context& ctx, const fs::path& folder, const std::string& split, uint64_t seed, int64_t first,
                int count, int size) {
  const fs::path images = folder / "images" / split, labels = folder / "labels" / split;
  make_folders(images.string());
  make_folders(labels.string());
  ctx.pool().parallel_for(count, [&](int64_t i) {
    const data::demo::Scene scene = data::demo::draw_scene(seed, first + i, size);
    const std::string stem = fmt::format("scene_{:05}", first + i);
    std::string rows;
    for (const data::Label& l : scene.labels)
      rows += fmt::format("{} {:.6f} {:.6f} {:.6f} {:.6f}\n", l.cls, l.x, l.y, l.w, l.h);
    data::write_image((images / (stem + ".jpg")).string(), scene.image);
    write_file_atomically((labels / (stem + ".txt")).string(), rows);
  });
}

}  // namespace

DemoData write_demo_data(Context& ctx, const std::string& folder, uint64_t seed, int images, int held_out,
                         int size) {
  draw_split(ctx, folder, "train", seed, 0, images, size);
  draw_split(ctx, folder, "val", seed, images, held_out, size);
  const std::vector<std::string>& names = data::demo::scene_names();
  const fs::path at = folder;
  const DemoData written{(at / "scenes.yaml").string(), (at / "hyp.yaml").string()};
  write_file_atomically(
      written.data, fmt::format("train: images/train\nval: images/val\nnames: [{}]\nheads:\n"
                                "  sky: {{classes: 0-{}}}\n  ground: {{classes: {}-{}}}\n",
                                fmt::join(names, ", "), data::demo::kSkyClasses - 1, data::demo::kSkyClasses,
                                names.size() - 1));
  write_file_atomically(written.hyp, kHyp);
  return written;
}

}  // namespace mtyolo::cli
