#include "train/run_setup.h"

#include <algorithm>
#include <filesystem>

#include "core/log.h"
#include "core/sha256.h"
#include "core/text.h"
#include "data/anchors.h"
#include "data/image_cache.h"
#include "models/heads.h"
#include "train/document_fields.h"

namespace mtyolo::train {
namespace {

namespace fs = std::filesystem;

constexpr int kSmallestStride = 32;

void open_sets(Context& ctx, RunSetup& run) {
  const Settings& s = run.settings;
  data::DatasetParams params;
  params.single_cls = s.single_cls;
  params.strict = s.strict;
  params.threads = ctx.pool().size();
  data::DataCfg files = run.data;
  files.names = run.label_names;
  run.val_set = s.noval ? nullptr : data::open_dataset(files, files.val, params);
  params.fraction = s.fraction;
  run.train_set = data::open_dataset(files, files.train, params);
  data::log_report("train", run.train_set->report());
  if (run.val_set) data::log_report("val", run.val_set->report());
  run.fingerprint = set_fingerprint(*run.train_set);
  if (run.train_set->report().boxes == 0)
    log::warning(
        "the training set has no labelled object at all: the network can only learn to find nothing");
}

void read_data(RunSetup& run) {
  const Settings& settings = run.settings;
  if (settings.data.empty())
    throw Error({ExitCode::kUsage, "usage", "train needs a data set", {}, {}, "give a DATA.yaml"});
  run.data = data::read_data_cfg(settings.data, data::DataCfgUse::kPaths);
  if (settings.single_cls) {
    run.label_names = run.data.names;
    run.data.heads.clear();
    if (run.data.names.size() != 1) run.data.names = {"item"};
  }
}

std::vector<data::Size2> anchors_of(const models::Head& head) {
  std::vector<data::Size2> all;
  for (const auto& level : head.anchors)
    for (size_t i = 0; i + 1 < level.size(); i += 2) all.push_back({level[i], level[i + 1]});
  return all;
}

// The network with other anchors: in cfg, graph and buffers.
void set_anchors(models::Model& model, const std::vector<data::Size2>& anchors) {
  std::vector<std::vector<float>> levels = model.graph.heads[0].anchors;
  size_t next = 0;
  for (auto& level : levels)
    for (size_t i = 0; i + 1 < level.size(); i += 2, ++next) {
      level[i] = float(anchors.at(next)[0]);
      level[i + 1] = float(anchors.at(next)[1]);
    }
  models::BuildOptions options;
  options.heads = model.heads;
  options.names = model.graph.names;
  options.bn_eps = model.bn_eps;
  models::Model fresh = models::model_from_cfg(models::with_anchors(model.cfg, levels), 0, options);
  models::StateDict weights;
  for (const auto& [name, tensor] : model.weights.entries())
    weights.add(name, name.find(".anchor") == std::string::npos ? tensor : *fresh.weights.find(name));
  model.cfg = std::move(fresh.cfg);
  model.graph = std::move(fresh.graph);
  model.weights = std::move(weights);
}

void check_anchors(RunSetup& run) {
  data::AnchorParams params;
  params.img_size = run.settings.img_size;
  params.threshold = run.hyp.anchor_t;
  params.seed = uint64_t(run.settings.seed);
  if (run.train_set->report().boxes == 0) return;
  const data::AnchorReport report =
      data::check_anchors(*run.train_set, anchors_of(run.model.graph.heads[0]), params);
  run.anchor_message = report.message;
  if (report.replaced) set_anchors(run.model, report.anchors);
}

void settle_size(RunSetup& run) {
  run.stride = std::max(run.model.graph.max_stride, kSmallestStride);
  int& size = run.settings.img_size;
  if (size % run.stride == 0) return;
  size = (size + run.stride - 1) / run.stride * run.stride;
  log::warning("--img-size is not a multiple of {}: {} is used", run.stride, size);
}

void check_resumed_data(const RunSetup& run, const models::Checkpoint& checkpoint) {
  if (run.data.names.size() != checkpoint.names.size())
    throw Error(
        {ExitCode::kUsage,
         "resume",
         fmt::format("has {} classes, the run has {}", run.data.names.size(), checkpoint.names.size()),
         run.data.file,
         {},
         fmt::format("start a new run: --weights {}", checkpoint.file)});
}

// One of them says how often an image comes.
void check_sampling(const RunSetup& run) {
  const char* other = run.settings.image_weights ? "--image-weights" : run.settings.rect ? "--rect" : nullptr;
  if (run.hyp.repeat_thr > 0 && other != nullptr)
    throw Error(
        {ExitCode::kUsage,
         "usage",
         fmt::format("{} and repeat_thr {} of the hyper-parameters both choose the order of the images",
                     other, run.hyp.repeat_thr),
         {},
         {},
         fmt::format("leave {} out, or set repeat_thr: 0", other)});
}

// Where images are labelled for some heads only: what each head has.
void note_heads(RunSetup& run) {
  const data::Dataset& set = *run.train_set;
  const std::vector<data::HeadCfg>& heads = run.data.heads;
  std::vector<int64_t> images(heads.size()), boxes(heads.size());
  bool all = true;
  for (int64_t i = 0; i < set.size(); ++i) {
    const data::Sample& s = set.sample(i);
    for (size_t h = 0; h < heads.size(); ++h) {
      images[h] += int64_t(s.labelled >> h & 1);
      all = all && (s.labelled >> h & 1) != 0;
      for (const data::Label& l : s.labels)
        boxes[h] += std::count(heads[h].classes.begin(), heads[h].classes.end(), l.cls);
    }
  }
  if (all) return;
  std::vector<std::string> parts;
  for (size_t h = 0; h < heads.size(); ++h)
    parts.push_back(fmt::format("{} {} ({} boxes)", heads[h].name, images[h], boxes[h]));
  run.notes.push_back(fmt::format("images per head: {}, of {}", fmt::join(parts, ", "), set.size()));
}

// --batch-size -1: the largest power of two, up to the nominal batch and the set, whose estimate leaves a
// third of the free memory alone.
void choose_batch(RunSetup& run) {
  const uint64_t free = data::available_memory(), room = free / 3 * 2;
  Settings& s = run.settings;
  s.batch_size = 1;
  for (int batch = 2; batch <= s.nbs && batch <= run.train_set->size(); batch *= 2) {
    Settings larger = s;
    larger.batch_size = batch;
    if (estimate_memory(run.model.graph, larger) > room) break;
    s.batch_size = batch;
  }
  run.notes.push_back(fmt::format("batch size {}: about {:.1f} of {:.1f} GiB free", s.batch_size,
                                  double(estimate_memory(run.model.graph, s)) / double(1 << 30),
                                  double(free) / double(1 << 30)));
}

}  // namespace

std::string set_fingerprint(const data::Dataset& dataset) {
  std::string common;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const std::string folder = fs::path(dataset.sample(i).path).parent_path().string() + "/";
    if (i == 0) common = folder;
    common.resize(size_t(std::mismatch(common.begin(), common.end(), folder.begin(), folder.end()).first -
                         common.begin()));
  }
  common.resize(common.find_last_of('/') == std::string::npos ? 0 : common.find_last_of('/') + 1);
  Sha256 hash;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const data::Sample& s = dataset.sample(i);
    std::string text =
        fmt::format("{}\n{} {} {}\n", s.path.substr(common.size()), s.width, s.height, s.labelled);
    for (const data::Label& l : s.labels)
      text += fmt::format("{} {} {} {} {} {}\n", l.cls, l.x, l.y, l.w, l.h, l.polygon.size());
    hash.update(std::as_bytes(std::span(text)));
  }
  return hash.finish();
}

Document data_document(const data::DataCfg& data) {
  const auto absolute = [](const std::string& path) {
    return fs::absolute(path).lexically_normal().string();
  };
  const auto entries = [&](const std::vector<std::string>& paths) {
    if (paths.empty()) return Document{};
    std::vector<Document> items;
    for (const std::string& path : paths) {
      const data::EntryCfg e = data.entry(path);
      const bool json = path.ends_with(".json");
      Document map = Document::map({});
      put_field(map, json ? "json" : "images", absolute(path));
      if (json && !e.images.empty()) put_field(map, "images", absolute(e.images));
      if (!e.heads.empty()) put_field(map, "heads", e.heads);
      if (!e.classes.empty()) put_field(map, "classes", e.classes);
      const bool plain = map.fields.size() == 1;
      items.push_back(plain ? to_field(absolute(path)) : map);
    }
    return Document::list(std::move(items));
  };
  Document d = Document::map({});
  put_field(d, "train", entries(data.train));
  put_field(d, "val", entries(data.val));
  if (!data.test.empty()) put_field(d, "test", entries(data.test));
  put_field(d, "nc", int(data.names.size()));
  put_field(d, "names", data.names);
  if (data.heads.empty()) return d;
  Document heads = Document::map({});
  for (const data::HeadCfg& h : data.heads) {
    Document head = Document::map({});
    put_field(head, "classes", h.classes);
    put_field(head, "weight", h.weight);
    put_field(heads, h.name, head);
  }
  put_field(d, "heads", heads);
  return d;
}

uint64_t estimate_memory(const models::Graph& graph, const Settings& s) {
  constexpr double kCopiesOfWeights = 7, kKept = 0.7;  // of the values
  double values = 0;
  for (const Shape& shape : models::infer_shapes(graph, 1, s.img_size, s.img_size))
    values += double(shape.numel());
  const double copies = kCopiesOfWeights + (s.head_loss == "pcgrad" ? double(graph.heads.size() + 1) : 0);
  const double maps = kKept * values * s.batch_size * double(item_size(compute_type(s.dtype)));
  return uint64_t(maps + copies * double(graph.parameter_count()) * sizeof(float));
}

RunSetup prepare_run(Context& ctx, const Settings& settings, const models::Checkpoint* resume) {
  compute_type(settings.dtype);
  RunSetup run;
  run.settings = settings;
  run.resumed = resume != nullptr;
  read_data(run);
  if (resume != nullptr) {
    check_resumed_data(run, *resume);
    run.hyp = hyp_from_document(resume->hyp);
    run.model = resumed_model(*resume);
    run.data.names = resume->names;
    if (run.data.heads.empty())
      for (const models::HeadGroup& g : run.model.heads) run.data.heads.push_back({g.name, g.classes, 1});
  } else {
    run.hyp = read_hyp(settings.hyp);
    run.model = starting_model(settings, run.data, run.notes);
  }
  if (!settings.single_cls) run.label_names = run.data.names;
  settle_size(run);
  check_sampling(run);
  open_sets(ctx, run);
  note_heads(run);
  if (settings.batch_size == 0)
    fail(ExitCode::kUsage, "usage", "--batch-size 0: expected 1 or more, or -1 for what memory holds");
  if (run.settings.batch_size < 0) choose_batch(run);
  run.frozen = frozen_parameters(run.model.graph, settings.freeze);
  const FrozenHeads heads = frozen_heads(run.model.graph, run.frozen);
  for (const auto& [name, parameter] : heads.moving)
    run.notes.push_back(
        fmt::format("head {} is frozen, but what it finds depends on {}, which trains", name, parameter));
  if (resume == nullptr && !settings.noautoanchor) {
    if (heads.still.empty()) check_anchors(run);
    else
      run.anchor_message =
          fmt::format("anchors stay as they are for head {}, which is frozen", heads.still[0]);
  }
  return run;
}

}  // namespace mtyolo::train
