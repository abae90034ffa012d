// Asynchronous copies to shared memory (cp.async): performed at the matching wait, at once, or either, as
// options().async says. Until a late copy is performed its destination holds 0xFF bytes.
#pragma once

#include "cuda/simt/engine.h"

namespace mtyolo::emulator {

void copy_async(void* to, const void* from, uint32_t bytes, bool fill,
                const Site& at);  // fill: zeros, not `from`
void commit_copies();
void wait_copies(uint32_t groups_left, const Site& at);  // all but the newest groups are performed

}  // namespace mtyolo::emulator
