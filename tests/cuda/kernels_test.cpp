// Inference by the kernels themselves, on the emulated device, against the plan of the CPU.
#include "cuda/kernels.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "cuda/session_simt.h"
#include "models/model.h"
#include "models/plan/detector.h"
#include "tests/support/device_models.h"

