#include "models/weights/pickle_symbols.h"

#include <algorithm>
#include <array>

#include "models/weights/limits.h"

namespace mtyolo::models {
namespace {

struct Row {
  std::string_view module, name;
  Meaning meaning;
};

// checkpoint.md section 4. Builtins stand under their newer module name.
constexpr std::array kTable{
    Row{"torch._utils", "_rebuild_tensor_v2", Meaning::kRebuildTensorV2},
    Row{"torch._utils", "_rebuild_tensor", Meaning::kRebuildTensor},
    Row{"torch._utils", "_rebuild_parameter", Meaning::kRebuildParameter},
    Row{"torch._utils", "_rebuild_parameter_with_state", Meaning::kRebuildParameterWithState},
    Row{"torch._tensor", "_rebuild_from_type_v2", Meaning::kRebuildFromType},
    Row{"torch", "Tensor", Meaning::kTensorType},
    Row{"torch.nn.parameter", "Parameter", Meaning::kTensorType},
    Row{"torch", "Size", Meaning::kSize},
    Row{"torch", "device", Meaning::kTorchValue},
    Row{"torch.nn.parallel.distributed", "DistributedDataParallel", Meaning::kModule},
    Row{"torch.nn.parallel.data_parallel", "DataParallel", Meaning::kModule},
    Row{"collections", "OrderedDict", Meaning::kOrderedDict},
    Row{"collections", "defaultdict", Meaning::kDefaultDict},
    Row{"builtins", "set", Meaning::kSetType},
    Row{"builtins", "list", Meaning::kListType},
    Row{"builtins", "dict", Meaning::kDictType},
    Row{"builtins", "tuple", Meaning::kTupleType},
    Row{"builtins", "int", Meaning::kIntType},
    Row{"builtins", "float", Meaning::kFloatType},
    Row{"builtins", "slice", Meaning::kSliceType},
    Row{"builtins", "bytearray", Meaning::kByteArrayType},
    Row{"_codecs", "encode", Meaning::kCodecsEncode},
    Row{"numpy", "ndarray", Meaning::kNdarray},
    Row{"numpy", "dtype", Meaning::kNumpyType},
    Row{"numpy.core.multiarray", "_reconstruct", Meaning::kNumpyReconstruct},
    Row{"numpy.core.multiarray", "scalar", Meaning::kNumpyScalar},
    Row{"numpy._core.multiarray", "_reconstruct", Meaning::kNumpyReconstruct},
    Row{"numpy._core.multiarray", "scalar", Meaning::kNumpyScalar},
    Row{"pathlib", "PosixPath", Meaning::kPath},
    Row{"pathlib", "WindowsPath", Meaning::kPath},
    Row{"argparse", "Namespace", Meaning::kInert},
    Row{"collections", "Counter", Meaning::kInert},
    Row{"collections", "deque", Meaning::kInert},
    Row{"decimal", "Decimal", Meaning::kInert},
    Row{"uuid", "UUID", Meaning::kInert},
    Row{"types", "SimpleNamespace", Meaning::kInert},
};

struct StorageRow {
  std::string_view name;
  DType type;
};
constexpr std::array kStorages{
    StorageRow{"FloatStorage", DType::kF32},     StorageRow{"HalfStorage", DType::kF16},
    StorageRow{"BFloat16Storage", DType::kBF16}, StorageRow{"DoubleStorage", DType::kF64},
    StorageRow{"LongStorage", DType::kI64},      StorageRow{"IntStorage", DType::kI32},
    StorageRow{"ShortStorage", DType::kI16},     StorageRow{"CharStorage", DType::kI8},
    StorageRow{"ByteStorage", DType::kU8},       StorageRow{"BoolStorage", DType::kBool},
};

constexpr std::array<std::string_view, 19> kTorchTypes{
    "float16", "half",  "bfloat16", "float32", "float", "float64",   "double",  "uint8",      "int8", "int16",
    "short",   "int32", "int",      "int64",   "long",  "complex64", "cdouble", "complex128", "bool"};

void check_name(std::string_view text) {
  const auto printable = [](char c) { return c > ' ' && c <= '~'; };
  if (text.empty() || text.size() > kMaxSymbolBytes || !std::all_of(text.begin(), text.end(), printable))
    fail(ExitCode::kModel, "P4", "{} is not the name of a module or class", quoted(text));
}

[[noreturn]] void refuse(std::string_view module, std::string_view name, const char* suggestion) {
  const std::string full = std::string(module) + "." + std::string(name);
  throw Error({ExitCode::kModel,
               "P5",
               fmt::format("the file refers to {}, which a checkpoint has no use for; nothing was executed",
                           quoted(full)),
               {},
               {},
               suggestion});
}

}  // namespace

Symbol resolve_symbol(std::string_view module, std::string_view name) {
  check_name(module);
  check_name(name);
  Symbol symbol{module, name};
  const std::string_view lookup = module == "__builtin__" ? "builtins" : module;
  for (const Row& row : kTable)
    if (row.module == lookup && row.name == name) {
      symbol.meaning = row.meaning;
      return symbol;
    }
  if (module == "torch" || module == "torch.cuda")
    for (const StorageRow& row : kStorages)
      if (row.name == name) {
        symbol.meaning = Meaning::kStorageClass;
        symbol.dtype = row.type;
        return symbol;
      }
  const bool dotted = name.find('.') != std::string_view::npos;
  if (module == "torch" && std::find(kTorchTypes.begin(), kTorchTypes.end(), name) != kTorchTypes.end()) {
    symbol.meaning = Meaning::kTorchValue;
  } else if (module.starts_with("torch.nn.modules.") && !dotted) {
    symbol.meaning = Meaning::kModule;
  } else if (module == "datetime" && !dotted) {
    symbol.meaning = Meaning::kInert;
  } else if (module == "torch.storage") {
    refuse(module, name, "its storages carry no element type; save the file with an older or newer PyTorch");
  } else {
    const std::string_view top = module.substr(0, module.find('.'));
    if (top.empty() || is_standard_library(top))
      refuse(module, name, "save the weights alone: torch.save(model.state_dict(), 'weights.pt')");
  }
  return symbol;
}

}  // namespace mtyolo::models
