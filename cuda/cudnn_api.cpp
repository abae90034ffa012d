#include "cuda/cudnn_api.h"

#include <fmt/format.h>

#include "cuda/shared_library.h"

namespace mtyolo::cudnn {
namespace {

LoadedApi<Api> load() {
  constexpr const char* kNames[] = {"libcudnn.so.9", "/usr/local/cuda/lib64/libcudnn.so.9"};
  LoadedApi<Api> loaded;
  SharedLibrary library(kNames);
  Api& a = loaded.api;
  const bool complete =
      library && library.find(a.create, "cudnnCreate") && library.find(a.destroy, "cudnnDestroy") &&
      library.find(a.set_stream, "cudnnSetStream") && library.find(a.version, "cudnnGetVersion") &&
      library.find(a.error_text, "cudnnGetErrorString") &&
      library.find(a.last_error, "cudnnGetLastErrorString") &&
      library.find(a.create_descriptor, "cudnnBackendCreateDescriptor") &&
      library.find(a.destroy_descriptor, "cudnnBackendDestroyDescriptor") &&
      library.find(a.finalize, "cudnnBackendFinalize") && library.find(a.set, "cudnnBackendSetAttribute") &&
      library.find(a.get, "cudnnBackendGetAttribute") && library.find(a.execute, "cudnnBackendExecute");
  if (!complete) loaded.why = fmt::format("cuDNN 9 is not usable: {}", library.error());
  return loaded;
}

}  // namespace

const Api* api(std::string* why) {
  static const LoadedApi<Api> loaded = load();
  return loaded.get(why);
}

}  // namespace mtyolo::cudnn
