#include <cstdlib>

#include "ops/blocked/blocked.h"

namespace mtyolo::ops::blocked {

const KernelTable* kernels_for(std::string_view isa) {
  if (isa == common::kTable.isa) return &common::kTable;
#if defined(__x86_64__)
  if (isa == "avx512bf16" && __builtin_cpu_supports("avx512bf16") && kernels_for("avx512") != nullptr)
    return &avx512bf16::kTable;
  if (isa == "avx2" && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &avx2::kTable;
  if (isa == "avx512" && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    return &avx512::kTable;
#endif
  return nullptr;
}

Epilogue to_epilogue(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::kIdentity:
      return Epilogue::kNone;
    case ActivationKind::kSilu:
      return Epilogue::kSilu;
    case ActivationKind::kLeakyRelu:
      return Epilogue::kLeakyRelu;
    case ActivationKind::kSigmoid:
      return Epilogue::kSigmoid;
    case ActivationKind::kRelu:
      return Epilogue::kRelu;
    case ActivationKind::kHardswish:
      return Epilogue::kHardswish;
  }
  return Epilogue::kNone;
}

namespace {

const KernelTable& best_kernels() {
  if (const char* wanted = std::getenv("MTYOLO_ISA")) {
    if (const KernelTable* table = kernels_for(wanted)) return *table;
    fail(ExitCode::kUsage, "usage",
         "MTYOLO_ISA is {}, expected {}, avx2, avx512 or avx512bf16, and one this machine has",
         quoted(wanted), common::kTable.isa);
  }
  for (const char* isa : {"avx512bf16", "avx512", "avx2"})
    if (const KernelTable* table = kernels_for(isa)) return *table;
  return common::kTable;
}

}  // namespace

const KernelTable& kernels() {
  static const KernelTable& table = best_kernels();
  return table;
}

}  // namespace mtyolo::ops::blocked
