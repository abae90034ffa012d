// What tests of plans on a device compare; with kernels by definition and with the real ones.
#pragma once

#include "models/model.h"
#include "models/plan/detector.h"

namespace mtyolo::test {

// The classes of a model in two heads, a third of them in the first.
models::Model two_headed(models::Model single, const models::Sharing& sharing = {});

// Largest difference of predictions on the device from the CPU's, relative to the value where that is
// above 1.
double device_error(const DeviceBackend& backend, const models::Model& model, const Tensor& images,
                    KernelMath math);

// Whether the detections of images on the device are the host's suppression of the predictions made there,
// and some.
bool same_detections(models::Detector& device, const Tensor& images, const models::DetectParams& params);

}  // namespace mtyolo::test
