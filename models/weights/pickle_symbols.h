// What the names in a pickle mean. The table of checkpoint.md section 4 is closed: a name has one of these
// meanings, is an inert record, or refuses the file (reliability.md P5). Nothing is ever imported or called.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/dtype.h"

namespace mtyolo::models {

enum class Meaning : uint8_t {
  kRebuildTensorV2,
  kRebuildTensor,
  kRebuildParameter,
  kRebuildParameterWithState,
  kRebuildFromType,
  kStorageClass,  // Symbol::dtype tells which
  kTensorType,    // torch.Tensor, torch.nn.Parameter: only the type argument of kRebuildFromType
  kSize,
  kTorchValue,  // torch.device, torch.float16: opaque
  kOrderedDict,
  kDefaultDict,
  kSetType,
  kListType,
  kDictType,
  kTupleType,
  kIntType,
  kFloatType,
  kSliceType,
  kByteArrayType,
  kCodecsEncode,
  kNdarray,
  kNumpyType,
  kNumpyReconstruct,
  kNumpyScalar,
  kPath,
  kInert,   // a harmless standard class, kept as a record
  kModule,  // torch.nn.modules.*, DataParallel, DistributedDataParallel
  kForeign  // anybody else's class, kept as a record
};

struct Symbol {
  std::string_view module, name;  // views of the pickle
  Meaning meaning = Meaning::kForeign;
  DType dtype = DType::kF32;  // kStorageClass only
};

// Throws Error{kModel, "P4"} for a malformed name and "P5" for one that refuses the file.
Symbol resolve_symbol(std::string_view module, std::string_view name);

// True for a top name of the Python standard library, of any version since 2.7.
bool is_standard_library(std::string_view top_name);

}  // namespace mtyolo::models
