// The flags that say how much heads share, of `import` and `train`.
#pragma once

#include "cli/options.h"
#include "models/sharing.h"

namespace mtyolo::cli {

inline void register_sharing(Options& o, models::SharingFlags& flags) {
  o.group("Sharing between heads");
  o.choice("sharing", flags.mode, {"hard", "soft", "none"},
           "one trunk, tied trunks, or a network per head (the weights' or the cfg's, else hard)");
  o.integer("share-until", flags.until, -1, 100000, "hard: the last shared row (all but the detection row)");
  o.text("couple", flags.couple, "soft: tie rows FIRST-LAST (all but the detection row)");
  o.real("couple-strength", flags.strength, -1, 1e6, "soft: factor of the squared differences (1e-4)");
  o.list("cross-stitch", flags.cross_stitch, "soft: rows whose values are mixed between heads");
}

}  // namespace mtyolo::cli
