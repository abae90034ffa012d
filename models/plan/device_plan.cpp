#include "models/plan/device_plan.h"

#include <algorithm>
#include <cstring>

#include "core/profile.h"
#include "models/plan/device_plan_compiler.h"

namespace mtyolo::models {
namespace {

constexpr int kMostCandidates = 30000;  // of an image, kept on the device

// Rows of a head's predictions of one image.
int64_t rows_of(const DecodeHead& head) {
  int64_t rows = 0;
  for (int l = 0; l < head.level_count; ++l)
    rows += int64_t{head.levels[l].raw.h} * head.levels[l].raw.w * head.levels[l].anchor_count;
  return rows;
}

}  // namespace

DevicePlan::DevicePlan(std::shared_ptr<const DeviceNetwork> network, int64_t n, int64_t h, int64_t w,
                       std::optional<DType> images)
    : network_(std::move(network)), n_(n), h_(h), w_(w), image_type_(images) {
  const profile::Scope scope("compile");
  const Graph& graph = network_->graph();
  const int stride = graph.max_stride;
  if (n < 1 || h < stride || w < stride || h % stride != 0 || w % stride != 0)
    fail(ExitCode::kUsage, "image_size",
         "the network input is {}x{}x{}, expected sides that are multiples of {}", n, h, w, stride);
  MTYOLO_CHECK(!images || *images == DType::kF32 || *images == DType::kU8,
               "plan: images are {}, expected f32 or u8", *images);
  shapes_ = infer_shapes(graph, n, h, w);
  images_ = take(images ? size_t(shapes_[0].numel()) * item_size(*images) : 0);
  for (size_t head = 0; head < graph.heads.size(); ++head) make_output(head);
  Compiler(*this).compile();
  choose_configs();
}

std::shared_ptr<Storage> DevicePlan::take(size_t bytes) const {
  return Storage::allocate(network_->backend().session->allocator(), std::max<size_t>(bytes, 1));
}

// Raw maps stay readable after the run, so they lie outside the arena. A convolution writes them in f32.
void DevicePlan::make_output(size_t index) {
  const Graph& graph = network_->graph();
  const Head& head = graph.heads[index];
  Output out;
  out.decode.classes = head.nc();
  out.decode.class_ids = network_->class_ids(index);
  out.decode.score_is_objectness = head.score_is_objectness;
  out.decode.level_count = int(head.decode.size());
  MTYOLO_CHECK(out.decode.level_count <= kMostLevels, "head {}: {} levels, at most {}", head.name,
               out.decode.level_count, kMostLevels);
  std::vector<int64_t> begins;
  int64_t bytes = 0;
  for (size_t l = 0; l < head.decode.size(); ++l) {
    const GraphNode& node = graph.nodes[size_t(head.decode[l])];
    const auto& p = std::get<ops::DetectDecode>(node.attrs);
    const int value = network_->value_of(node.inputs[0]);
    const Shape& s = shapes_[size_t(value)];
    DecodeLevel& level = out.decode.levels[l];
    level.stride = p.stride;
    level.anchor_count = p.anchor_count();
    MTYOLO_CHECK(level.anchor_count <= kMostAnchors, "head {}: {} anchors, at most {}", head.name,
                 level.anchor_count, kMostAnchors);
    std::copy(p.anchors.begin(), p.anchors.end(), level.anchors);
    level.raw = {nullptr, KernelType::kF32, int(n_), int(s[2]), int(s[3]), int(s[1]), int(s[1] + 3) / 4 * 4};
    out.raw_values.push_back(value);
    begins.push_back(bytes);
    bytes += (level.raw.pixels() * level.raw.pixel_stride * 4 + 255) / 256 * 256;
  }
  out.raw = take(size_t(bytes));
  for (size_t l = 0; l < begins.size(); ++l)
    out.decode.levels[l].raw.data = static_cast<char*>(out.raw->data()) + begins[l];
  const Shape shape{n_, rows_of(out.decode), int64_t(5 + head.nc())};
  out.predictions = take(size_t(shape.numel()) * sizeof(float));
  host_.push_back({Tensor::empty(shape), {}});
  outputs_.push_back(std::move(out));
}

void DevicePlan::choose_configs() {
  const DeviceBackend& backend = network_->backend();
  const DeviceInfo& info = backend.session->info();
  size_t bytes = 1, scratch = 1;
  for (ConvWork& work : convs_) {
    StepInfo& step = step_infos_[work.step];
    if (backend.convs != nullptr) {
      ChosenConv chosen = backend.convs->choose(work.args);
      step.impl = chosen.name, step.other_configs = chosen.others;
      size_t& most = chosen.plan->clean_workspace() ? bytes : scratch;
      most = std::max(most, chosen.plan->workspace_bytes());
      work.plan = std::move(chosen.plan);
      continue;
    }
    const char* reason = backend.kernels->conv_refuses(work.args);
    const auto configs =
        backend.kernels->conv_configs(work.args, info.multiprocessors, info.shared_bytes_per_block);
    if (reason != nullptr || configs.empty())
      throw Error({ExitCode::kModel,
                   "not_compilable",
                   fmt::format("{} ({}): {}", step.scope, step.detail,
                               reason != nullptr ? reason : "no configuration fits the device"),
                   {},
                   {},
                   "give --device cpu"});
    const ConvConfig& c = work.args.config = configs.front();
    step.impl = fmt::format("{}.igemm {}x{}, {} stages", backend.kernels->prefix(), c.m, c.n, c.stages);
    if (c.splits > 1) step.impl += fmt::format(", depth in {}", c.splits);
    step.other_configs = configs.size() - 1;
    bytes = std::max(bytes, backend.kernels->conv_workspace(work.args));
  }
  workspace_ = take(bytes), scratch_ = take(scratch);
  const std::vector<char> zeros(bytes);
  backend.session->upload(workspace_->data(), zeros.data(), bytes);
  for (ConvWork& work : convs_) work.args.workspace = workspace_->data(), work.args.workspace_bytes = bytes;
}

void DevicePlan::run_conv(const ConvWork& work) {
  if (work.plan == nullptr) return network_->backend().kernels->conv(stream(), work.args);
  work.plan->run(stream(), (work.plan->clean_workspace() ? workspace_ : scratch_)->data());
}

void DevicePlan::upload(const Tensor& images) {
  MTYOLO_CHECK(images.shape() == shapes_[0] && images.dtype() == image_type_,
               "plan: images are {}, expected {} of the plan's type", images, shapes_[0]);
  const Tensor plain = images.contiguous();
  network_->backend().session->upload(images_->data(), plain.raw(), plain.size_bytes());
}

void DevicePlan::upload(std::span<const LetterboxImage> pictures) {
  MTYOLO_CHECK(!image_type_ && int64_t(pictures.size()) == n_, "plan: {} pictures, expected {}",
               pictures.size(), n_);
  const auto bytes_of = [](const LetterboxImage& p) { return size_t(p.w) * size_t(p.h) * 3; };
  size_t bytes = 0;
  for (const LetterboxImage& p : pictures) bytes += bytes_of(p);
  if (images_->size_bytes() < bytes) images_ = nullptr, images_ = take(bytes);
  auto* to = static_cast<uint8_t*>(images_->data());
  for (int64_t first = 0; first < n_; first += kMostPictures) {
    std::vector<LetterboxImage> some;
    for (int64_t i = first; i < std::min(first + kMostPictures, n_); ++i) {
      some.push_back(pictures[size_t(i)]);
      network_->backend().session->upload(to, some.back().pixels, bytes_of(some.back()));
      some.back().pixels = to;
      to += bytes_of(some.back());
    }
    KernelMap slots = input_;
    slots.n = int(some.size());
    slots.data = static_cast<char*>(input_.data) +
                 first * input_.h * input_.w * input_.pixel_stride * mtyolo::bytes_of(input_.type);
    network_->backend().kernels->letterbox(stream(), some, slots);
  }
}

void DevicePlan::set_detection(const DetectParams& params) {
  if (found_ != nullptr && params == detect_) return;
  nms_heads_.clear();
  for (size_t h = 0; h < outputs_.size(); ++h) {
    nms_heads_.push_back(outputs_[h].decode);
    nms_heads_.back().conf_thres =
        params.head_conf_thres.empty() ? params.nms.conf_thres : params.head_conf_thres[h];
  }
  nms_ = nms_args(params);
  detect_ = params;
  replays_[size_t(DeviceResult::kDetections)] = {};
}

// One block of memory: counts, overflows, detections; so one download fetches all.
NmsArgs DevicePlan::nms_args(const DetectParams& params) {
  const DeviceBackend& backend = network_->backend();
  NmsArgs args;
  args.heads = nms_heads_;
  args.images = int(n_);
  args.iou_thres = params.nms.iou_thres;
  args.multi_label = params.nms.multi_label, args.agnostic = params.nms.agnostic;
  args.max_det = params.nms.max_det, args.max_nms = params.nms.max_nms;
  int64_t most = 1;
  for (const Head& head : network_->graph().heads)
    for (const int id : head.classes) args.class_limit = std::max(args.class_limit, id + 1);
  for (const DecodeHead& head : nms_heads_)
    most += rows_of(head) * (params.nms.multi_label ? std::max(head.classes, 1) : 1);
  args.capacity = int(std::min<int64_t>(most, kMostCandidates));
  if (!params.nms.classes.empty()) {
    std::vector<uint8_t> wanted(size_t(args.class_limit), 0);
    for (const int id : params.nms.classes)
      if (id >= 0 && id < args.class_limit) wanted[size_t(id)] = 1;
    wanted_ = take(wanted.size());
    backend.session->upload(wanted_->data(), wanted.data(), wanted.size());
    args.wanted_classes = static_cast<const uint8_t*>(wanted_->data());
  }
  found_host_.resize(size_t(n_) * (2 * sizeof(int) + size_t(args.max_det) * sizeof(DeviceDetection)));
  found_ = take(found_host_.size());
  args.counts = static_cast<int*>(found_->data());
  args.overflow = args.counts + n_;
  args.detections = reinterpret_cast<DeviceDetection*>(args.overflow + n_);
  args.workspace_bytes = backend.kernels->nms_workspace(args);
  nms_workspace_ = take(args.workspace_bytes);
  args.workspace = nms_workspace_->data();
  return args;
}

void DevicePlan::queue_predictions() {
  for (const Output& out : outputs_)
    network_->backend().kernels->decode(stream(), out.decode, int(n_),
                                        static_cast<float*>(out.predictions->data()));
}

void DevicePlan::queue(DeviceResult result) {
  for (const auto& run : runs_) run();
  if (result == DeviceResult::kPredictions) return queue_predictions();
  MTYOLO_CHECK(found_ != nullptr, "plan: a run for detections before set_detection");
  network_->backend().kernels->nms(stream(), nms_);
}

void DevicePlan::run(DeviceResult result) {
  Replay& replay = replays_[size_t(result)];
  DeviceSession& session = *network_->backend().session;
  if (replay.warm && replay.graph == nullptr) replay.graph = session.record([&] { queue(result); });
  if (replay.graph != nullptr) session.launch(*replay.graph);
  else queue(result);
  replay.warm = true;
  last_ = result;
}

int DevicePlan::kernels(DeviceResult result) {
  Replay& replay = replays_[size_t(result)];
  if (replay.graph == nullptr) replay.graph = network_->backend().session->record([&] { queue(result); });
  return replay.graph->nodes();
}

const std::vector<HeadOutput>& DevicePlan::predictions() {
  if (last_ == DeviceResult::kDetections) queue_predictions();
  last_ = DeviceResult::kPredictions;
  DeviceSession& session = *network_->backend().session;
  for (size_t h = 0; h < outputs_.size(); ++h)
    session.download(host_[h].predictions.raw(), outputs_[h].predictions->data(),
                     host_[h].predictions.size_bytes());
  session.synchronize();
  return host_;
}

std::vector<double> DevicePlan::time_steps() {
  std::vector<double> ms;
  for (const auto& run : runs_) ms.push_back(network_->backend().session->time(run));
  return ms;
}

std::vector<std::vector<ops::Detection>> DevicePlan::detections(std::vector<int64_t>& overflown) {
  DeviceSession& session = *network_->backend().session;
  session.download(found_host_.data(), found_->data(), found_host_.size());
  session.synchronize();
  std::vector<std::vector<ops::Detection>> all(static_cast<size_t>(n_));
  const auto read = [&]<class T>(size_t at, T) {
    T value;
    std::memcpy(&value, found_host_.data() + at, sizeof(T));
    return value;
  };
  for (int64_t i = 0; i < n_; ++i) {
    const size_t n = size_t(n_), image = size_t(i);
    if (read((n + image) * sizeof(int), 0) != 0) {
      overflown.push_back(i);
      continue;
    }
    const int count = read(image * sizeof(int), 0);
    for (int k = 0; k < count; ++k) {
      const size_t index = image * size_t(nms_.max_det) + size_t(k);
      const auto d = read(2 * n * sizeof(int) + index * sizeof(DeviceDetection), DeviceDetection{});
      all[image].push_back({d.x1, d.y1, d.x2, d.y2, d.confidence, d.class_id, d.head});
    }
  }
  return all;
}

}  // namespace mtyolo::models
