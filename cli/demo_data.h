// The drawn landscapes of `mtyolo demo` as a data set on the disk, and the recipe they are learned with.
#pragma once

#include <cstdint>
#include <string>

#include "core/context.h"

namespace mtyolo::cli {

struct DemoData {
  std::string data, hyp;  // scenes.yaml with the heads sky and ground; hyp.yaml
};

// Draws `images` training pictures of size x size and `held_out` others to validate on into `folder`, with
// labels. The same bytes for the same seed.
DemoData write_demo_data(Context& ctx, const std::string& folder, uint64_t seed, int images, int held_out,
                         int size);

}  // namespace mtyolo::cli
