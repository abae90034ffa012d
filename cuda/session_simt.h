// The emulated device as a session: what a GPU would run happens on the CPU, slowly (docs/emulator.md).
#pragma once

#include <memory>

#include "ops/device/session.h"

namespace mtyolo {

std::unique_ptr<DeviceSession> open_simt_session();

}  // namespace mtyolo
