#include "cuda/cublaslt_api.h"

#include <fmt/format.h>

#include "cuda/shared_library.h"

namespace mtyolo::cublaslt {
namespace {

LoadedApi<Api> load() {
  constexpr const char* kNames[] = {"libcublasLt.so.13", "/usr/local/cuda/lib64/libcublasLt.so.13",
                                    "libcublasLt.so.12"};
  LoadedApi<Api> loaded;
  SharedLibrary library(kNames);
  Api& a = loaded.api;
  const bool complete = library && library.find(a.create, "cublasLtCreate") &&
                        library.find(a.destroy, "cublasLtDestroy") &&
                        library.find(a.version, "cublasLtGetVersion") &&
                        library.find(a.status_text, "cublasLtGetStatusString") &&
                        library.find(a.create_matmul, "cublasLtMatmulDescCreate") &&
                        library.find(a.destroy_matmul, "cublasLtMatmulDescDestroy") &&
                        library.find(a.set_matmul, "cublasLtMatmulDescSetAttribute") &&
                        library.find(a.create_layout, "cublasLtMatrixLayoutCreate") &&
                        library.find(a.destroy_layout, "cublasLtMatrixLayoutDestroy") &&
                        library.find(a.create_preference, "cublasLtMatmulPreferenceCreate") &&
                        library.find(a.destroy_preference, "cublasLtMatmulPreferenceDestroy") &&
                        library.find(a.set_preference, "cublasLtMatmulPreferenceSetAttribute") &&
                        library.find(a.heuristics, "cublasLtMatmulAlgoGetHeuristic") &&
                        library.find(a.matmul, "cublasLtMatmul");
  if (!complete) loaded.why = fmt::format("cuBLASLt is not usable: {}", library.error());
  return loaded;
}

}  // namespace

const Api* api(std::string* why) {
  static const LoadedApi<Api> loaded = load();
  return loaded.get(why);
}

}  // namespace mtyolo::cublaslt
