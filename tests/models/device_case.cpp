#include "tests/models/device_case.h"

#include <cmath>

namespace mtyolo::test {

using namespace models;

Model two_headed(Model single, const Sharing& sharing) {
  single.cfg = with_sharing(single.cfg, sharing);
  std::vector<HeadGroup> groups{{"a", {}}, {"b", {}}};
  for (int c = 0; c < int(single.graph.names.size()); ++c) groups[c % 3 == 0 ? 0 : 1].classes.push_back(c);
  return split_heads(single, groups);
}

double device_error(const DeviceBackend& backend, const Model& model, const Tensor& images, KernelMath math) {
  Context ctx(2);
  Detector cpu(ctx, model.graph, model.weights, ops::Impls());
  Detector device(ctx, model.graph, model.weights, backend, math);
  const auto &want = cpu.forward(images), &got = device.forward(images);
  if (want.size() != got.size()) return INFINITY;
  double most = 0;
  for (size_t h = 0; h < want.size(); ++h) {
    if (want[h].predictions.shape() != got[h].predictions.shape()) return INFINITY;
    const float *x = got[h].predictions.data<float>(), *y = want[h].predictions.data<float>();
    for (int64_t i = 0; i < want[h].predictions.numel(); ++i) {
      const double d = std::abs(double(x[i]) - double(y[i])) / std::max(1.0, std::abs(double(y[i])));
      if (!(d <= most)) most = d;
    }
  }
  return most;
}

bool same_detections(Detector& device, const Tensor& images, const DetectParams& params) {
  const auto found = device.detect(images, params);
  std::vector<Tensor> predictions;
  if (params.augment) predictions = device.forward_augmented(images);
  else
    for (const HeadOutput& out : device.forward(images)) predictions.push_back(out.predictions);
  bool some = true;
  for (const auto& image : found) some = some && !image.empty();
  return some && found == device.suppress(predictions, params);
}

}  // namespace mtyolo::test
