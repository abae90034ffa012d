#include "train/evaluate.h"

#include <algorithm>
#include <chrono>

#include "core/text.h"

namespace mtyolo::train {
namespace {

using Clock = std::chrono::steady_clock;
using Boxes = EvaluateHooks::Boxes;

// A batch goes through the network in parts: on a CPU larger ones take memory (yolov7 at 640: 76 MiB an
// image) and no less time.
constexpr int64_t kImagesPerPass = 4;

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// Labels are kept in f32. The shortest decimal that gives the same f32 is what their file said, unless that
// had more than seven digits; so an object of exactly 32 x 32 pixels has the area 1024 here as well.
double as_written(float value) { return parse_double(fmt::format("{}", value)).value_or(double(value)); }

TruthBox truth_box(float x, float y, float w, float h, int cls, const data::Sample& s) {
  const double width = as_written(w) * s.width, height = as_written(h) * s.height;
  const double left = as_written(x) * s.width - width / 2, top = as_written(y) * s.height - height / 2;
  return {left, top, left + width, top + height, cls, width * height, false};
}

class Evaluator {
 public:
  Evaluator(models::Detector& detector, const data::Dataset& dataset, const EvaluateParams& params,
            const EvaluateHooks& hooks)
      : detector_(detector), dataset_(dataset), params_(params), hooks_(hooks) {
    detect_.nms.conf_thres = float(params.conf_thres);
    detect_.nms.iou_thres = params.iou_thres;
    detect_.nms.max_det = params.max_det;
    detect_.nms.multi_label = true;
    detect_.nms.agnostic = params.single_cls;
    results_.resize(size_t(dataset.size()));
    reached_.resize(results_.size(), false);
    for (size_t h = 0; h < params.heads.size(); ++h)
      for (const int c : params.heads[h].classes) {
        if (size_t(c) >= bit_of_class_.size()) bit_of_class_.resize(size_t(c) + 1, ~0ull);
        bit_of_class_[size_t(c)] = uint64_t{1} << h;
      }
  }

  Evaluation run(data::Loader& loader) {
    loader.begin_epoch(0);
    data::Batch batch;
    for (;;) {
      const auto begin = Clock::now();
      if ((hooks_.stop && hooks_.stop()) || !loader.next(batch)) break;
      out_.speed.preprocess += ms_since(begin);
      take(batch);
      if (hooks_.progress) hooks_.progress(out_.seen);
    }
    const double n = std::max<double>(1, double(out_.seen));
    for (double* sum : {&out_.speed.preprocess, &out_.speed.inference, &out_.speed.nms}) *sum /= n;
    for (size_t i = 0; i < results_.size(); ++i)
      if (reached_[i]) out_.images.push_back(std::move(results_[i]));
    return std::move(out_);
  }

 private:
  void take(const data::Batch& batch) {
    std::vector<models::HeadOutput> whole;
    Boxes found, hybrid;
    const int64_t n = batch.size();
    const int64_t part = detector_.on_device() ? n : kImagesPerPass;
    for (int64_t first = 0; first < n; first += part)
      pass(batch, first, std::min(n, first + part), whole, found, hybrid);
    if (hooks_.on_outputs && !params_.augment) hooks_.on_outputs(batch, whole);
    if (hooks_.on_hybrid) hooks_.on_hybrid(batch, hybrid);
    if (hooks_.on_found) hooks_.on_found(batch, found);
    for (size_t i = 0; i < found.size(); ++i) keep(batch.indices[i], batch.labelled[i], found[i]);
    out_.seen += n;
    out_.height = int(batch.images.size(2));
    out_.width = int(batch.images.size(3));
  }

  // Images first..last of the batch.
  void pass(const data::Batch& batch, int64_t first, int64_t last, std::vector<models::HeadOutput>& whole,
            Boxes& found, Boxes& hybrid) {
    auto begin = Clock::now();
    const Tensor images = batch.images.slice(0, first, last);
    if (detector_.on_device() && !params_.augment && !hooks_.on_outputs && !hooks_.on_hybrid) {
      native(batch, first, detector_.detect(images, detect_), found);
      out_.speed.inference += ms_since(begin);  // suppression included
      return;
    }
    std::vector<Tensor> predictions;
    if (params_.augment) {
      predictions = detector_.forward_augmented(images);
    } else {
      const std::vector<models::HeadOutput>& outputs = detector_.forward(images);
      for (const models::HeadOutput& out : outputs) predictions.push_back(out.predictions);
      if (hooks_.on_outputs) append(outputs, first, batch.size(), whole);
    }
    out_.speed.inference += ms_since(begin);

    begin = Clock::now();
    native(batch, first, detector_.suppress(predictions, detect_), found);
    out_.speed.nms += ms_since(begin);
    if (hooks_.on_hybrid)
      native(batch, first, detector_.suppress(predictions, detect_, labels_of(batch, first, last)), hybrid);
  }

  // Copies the outputs of images first.. into those of all n.
  static void append(const std::vector<models::HeadOutput>& outputs, int64_t first, int64_t n,
                     std::vector<models::HeadOutput>& whole) {
    const auto put = [&](const Tensor& part, Tensor& all) {
      if (first == 0) {
        std::vector<int64_t> sides(part.shape().begin(), part.shape().end());
        sides[0] = n;
        all = Tensor::empty(Shape(sides));
      }
      all.slice(0, first, first + part.size(0)).copy_from(part);
    };
    whole.resize(outputs.size());
    for (size_t h = 0; h < outputs.size(); ++h) {
      put(outputs[h].predictions, whole[h].predictions);
      whole[h].raw.resize(outputs[h].raw.size());
      for (size_t level = 0; level < outputs[h].raw.size(); ++level)
        put(outputs[h].raw[level], whole[h].raw[level]);
    }
  }

  void native(const data::Batch& batch, int64_t first, const std::vector<std::vector<ops::Detection>>& found,
              Boxes& boxes) const {
    for (size_t i = 0; i < found.size(); ++i) {
      boxes.emplace_back();
      for (const ops::Detection& d : found[i]) {
        const auto b = to_source(batch.letterboxes[size_t(first) + i], {d.x1, d.y1, d.x2, d.y2});
        boxes.back().push_back({b[0], b[1], b[2], b[3], d.confidence, params_.single_cls ? 0 : d.class_id});
      }
    }
  }

  // The objects of these images as detections with confidence 1.
  std::vector<std::vector<ops::Detection>> labels_of(const data::Batch& batch, int64_t first,
                                                     int64_t last) const {
    std::vector<std::vector<ops::Detection>> labels;
    for (int64_t i = first; i < last; ++i) {
      const data::Letterbox& done = batch.letterboxes[size_t(i)];
      const auto x = [&](double v) { return float(v * done.scale + done.left); };
      const auto y = [&](double v) { return float(v * done.scale_y + done.top); };
      labels.emplace_back();
      for (const TruthBox& t : truth_of(dataset_.sample(batch.indices[size_t(i)]), params_.classes))
        if (!t.crowd) labels.back().push_back({x(t.x1), y(t.y1), x(t.x2), y(t.y2), 1, t.cls, 0});
    }
    return labels;
  }

  void keep(int64_t index, uint64_t labelled, const std::vector<ScoredBox>& found) {
    ImageResult& r = results_.at(size_t(index));
    reached_[size_t(index)] = true;
    r.found.clear();
    for (const ScoredBox& d : found)
      if (size_t(d.cls) >= bit_of_class_.size() || (bit_of_class_[size_t(d.cls)] & labelled) != 0)
        r.found.push_back(d);
    r.truth = truth_of(dataset_.sample(index), params_.classes);
    r.labelled = labelled;
  }

  models::Detector& detector_;
  const data::Dataset& dataset_;
  const EvaluateParams& params_;
  const EvaluateHooks& hooks_;
  models::DetectParams detect_;
  std::vector<uint64_t> bit_of_class_;
  std::vector<ImageResult> results_;  // by index of the data set
  std::vector<bool> reached_;
  Evaluation out_;
};

}  // namespace

Evaluation evaluate(models::Detector& detector, const data::Dataset& dataset, data::Loader& loader,
                    const EvaluateParams& params, const EvaluateHooks& hooks) {
  return Evaluator(detector, dataset, params, hooks).run(loader);
}

std::vector<TruthBox> truth_of(const data::Sample& sample, const std::vector<int>& classes) {
  const auto wanted = [&](int cls) {
    return classes.empty() || std::find(classes.begin(), classes.end(), cls) != classes.end();
  };
  std::vector<TruthBox> truth;
  for (size_t i = 0; i < sample.labels.size(); ++i) {
    const data::Label& l = sample.labels[i];
    if (!wanted(l.cls)) continue;
    truth.push_back(truth_box(l.x, l.y, l.w, l.h, l.cls, sample));
    if (i < sample.areas.size()) truth.back().area = sample.areas[i];
  }
  for (const data::Crowd& c : sample.crowds) {
    if (!wanted(c.cls)) continue;
    truth.push_back(truth_box(c.x, c.y, c.w, c.h, c.cls, sample));
    truth.back().area = c.area;
    truth.back().crowd = true;
  }
  return truth;
}

std::array<double, 4> to_source(const data::Letterbox& done, const std::array<double, 4>& box) {
  const double w = done.source_width, h = done.source_height;
  const auto x = [&](double v) { return std::clamp((v - done.left) / done.scale, 0.0, w); };
  const auto y = [&](double v) { return std::clamp((v - done.top) / done.scale_y, 0.0, h); };
  return {x(box[0]), y(box[1]), x(box[2]), y(box[3])};
}

}  // namespace mtyolo::train
