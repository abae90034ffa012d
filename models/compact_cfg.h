// The compact notation of the cfgs we ship: one line per row or per block of rows.
//
//   nc: 80
//   anchors: p5                       # p5, p6, v3, or lists as in the official layout
//   activation: nn.LeakyReLU(0.1)     # optional: of every Conv
//   rows:
//     - Conv 32 3 1                   # module and args, reading the row before
//     - c3: ELAN 64 64 4 pairs 256    # "c3" names the last row of the line
//     - Conv 256 3 1 @c3              # reads c3; @-1,c3 a list; @7 row 7; @c3-1 the row before c3
//     - Bottleneck 128 x8             # number field 8
//     - SPP 512 5,9,13                # a list argument
//   sharing: {mode: hard, until: 20}  # optional, as in the official layout (models/sharing.h)
//   head:                             # a list of lines, or two forms
//     training: [...]
//     deploy: [...]
//
// Blocks (graph.md section 6): ELAN h w k TAPS o, EELAN h w k TAPS o, MPD c [r], UP c r; r is a reference,
// TAPS is `pairs` (-1, -3, ..., and both 1x1 convolutions) or `all`. Upsample, Concat, Shortcut and the heads
// need no args.
#pragma once

#include "core/document.h"

namespace mtyolo::models {

enum class CfgForm { kTraining, kDeploy };

// Whether the document is in compact notation.
bool is_compact_cfg(const Document& document);
// The same in the official layout, row for row; every row keeps the line it came from. A document whose head
// has one form gives it for both. Throws Error{kUsage, "config"} with the line.
Document expand_compact_cfg(const Document& document, CfgForm form);

}  // namespace mtyolo::models
