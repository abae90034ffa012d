// Packed weights in a file, so that later starts of the same program with the same network map them instead
// of packing anew: one safetensors file per network in a cache folder, safe to delete at any time.
//
// The first start with a network leaves an empty file, the second fills it: what runs only once costs neither
// time nor disk. It is mapped only where most of it is in memory already, because from a disk the weight
// file, a quarter of its size, is read and packed sooner.
#pragma once

#include <string>

#include "core/cache_folder.h"
#include "core/context.h"
#include "models/plan/fold.h"
#include "ops/blocked/blocked.h"

namespace mtyolo::models {

// Where packed weights are kept, and the file that the tensors they are made of may view.
struct PackedPlace {
  CacheFolder folder;
  FileInState weights;
};

// What packed weights depend on, as a hash: the program, the processor's instructions, the convolutions, and
// names, types, shapes and bytes of the tensors. A view of a file in a known state is told by its place
// there.
std::string packed_key(Context& ctx, const FoldedGraph& folded, const StateDict& weights,
                       bool allow_fast_forms, ops::blocked::Element type, const FileInState& mapped = {});

// Tensors of the file's bytes, which `keeper` keeps. Throws Error{kModel} when a checksum is wrong.
StateDict parse_packed(Context& ctx, std::span<const std::byte> bytes,
                       const std::shared_ptr<const void>& keeper, Checksums checksums = Checksums::kCheck);

class PackedWeights {
 public:
  // Looks in `folder` for the file of this key and checks its sums, unless they were right before.
  PackedWeights(Context& ctx, const CacheFolder& folder, const std::string& key);
  // The tensors kept, in maps of the file; empty when there is nothing that can be used.
  const StateDict& tensors() const { return tensors_; }
  // Remembers the network or, from its second start on, keeps the tensors. Nothing is lost when that fails: a
  // line of the log says why.
  void keep(Context& ctx, const StateDict& packed) const;

 private:
  enum class State { kUnknown, kWanted, kKept };
  void look(Context& ctx);

  CacheFolder folder_;
  std::string path_;
  State state_ = State::kUnknown;
  StateDict tensors_;
};

}  // namespace mtyolo::models
