#include "cuda/cuda_calls.h"

#ifdef MTYOLO_WITH_CUDA
#include <cuda_runtime_api.h>
#endif

namespace mtyolo {

#ifdef MTYOLO_WITH_CUDA
namespace {

static_assert(int(kCudaOutOfMemory) == cudaErrorMemoryAllocation &&
              int(kCudaInsufficientDriver) == cudaErrorInsufficientDriver &&
              int(kCudaNoDevice) == cudaErrorNoDevice);

cudaStream_t stream_of(void* p) { return static_cast<cudaStream_t>(p); }
cudaEvent_t event_of(void* p) { return static_cast<cudaEvent_t>(p); }
cudaGraph_t graph_of(void* p) { return static_cast<cudaGraph_t>(p); }
cudaGraphExec_t executable_of(void* p) { return static_cast<cudaGraphExec_t>(p); }

class RuntimeCalls : public CudaCalls {
 public:
  int driver_version(int* version) override { return cudaDriverGetVersion(version); }
  int runtime_version(int* version) override { return cudaRuntimeGetVersion(version); }
  int count_devices(int* count) override { return cudaGetDeviceCount(count); }
  int describe(int index, DeviceInfo* info) override {
    cudaDeviceProp p{};
    const cudaError_t error = cudaGetDeviceProperties(&p, index);
    *info = {p.name, p.major, p.minor, p.multiProcessorCount, p.sharedMemPerBlockOptin, p.totalGlobalMem};
    return error;
  }
  int use_device(int index) override { return cudaSetDevice(index); }
  int memory(size_t* free, size_t* total) override { return cudaMemGetInfo(free, total); }
  int allocate(void** pointer, size_t bytes) override { return cudaMalloc(pointer, bytes); }
  int release(void* pointer) override { return cudaFree(pointer); }
  int allocate_pinned(void** pointer, size_t bytes) override { return cudaMallocHost(pointer, bytes); }
  int release_pinned(void* pointer) override { return cudaFreeHost(pointer); }
  int create_stream(void** stream) override {
    cudaStream_t made = nullptr;
    const cudaError_t error = cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking);
    *stream = made;
    return error;
  }
  int destroy_stream(void* stream) override { return cudaStreamDestroy(stream_of(stream)); }
  int synchronize_stream(void* stream) override { return cudaStreamSynchronize(stream_of(stream)); }
  int copy(void* to, const void* from, size_t bytes, bool to_device, void* stream) override {
    return cudaMemcpyAsync(to, from, bytes, to_device ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToHost,
                           stream_of(stream));
  }
  int create_event(void** event) override {
    cudaEvent_t made = nullptr;
    const cudaError_t error = cudaEventCreate(&made);
    *event = made;
    return error;
  }
  int destroy_event(void* event) override { return cudaEventDestroy(event_of(event)); }
  int record_event(void* event, void* stream) override {
    return cudaEventRecord(event_of(event), stream_of(stream));
  }
  int synchronize_event(void* event) override { return cudaEventSynchronize(event_of(event)); }
  int elapsed_ms(float* ms, void* first, void* last) override {
    return cudaEventElapsedTime(ms, event_of(first), event_of(last));
  }
  // Calls of other threads do not disturb the recording.
  int begin_capture(void* stream) override {
    return cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal);
  }
  int end_capture(void* stream, void** graph) override {
    cudaGraph_t made = nullptr;
    const cudaError_t error = cudaStreamEndCapture(stream_of(stream), &made);
    *graph = made;
    return error;
  }
  int count_nodes(void* graph, size_t* nodes) override {
    return cudaGraphGetNodes(graph_of(graph), nullptr, nodes);
  }
  int instantiate(void** executable, void* graph) override {
    cudaGraphExec_t made = nullptr;
    const cudaError_t error = cudaGraphInstantiate(&made, graph_of(graph), 0);
    *executable = made;
    return error;
  }
  int destroy_graph(void* graph) override { return cudaGraphDestroy(graph_of(graph)); }
  int destroy_executable(void* executable) override {
    return cudaGraphExecDestroy(executable_of(executable));
  }
  int launch_graph(void* executable, void* stream) override {
    return cudaGraphLaunch(executable_of(executable), stream_of(stream));
  }
  int clear_error() override { return cudaGetLastError(); }
  const char* name_of(int error) override { return cudaGetErrorName(cudaError_t(error)); }
  const char* text_of(int error) override { return cudaGetErrorString(cudaError_t(error)); }
};

}  // namespace

CudaCalls* cuda_runtime_calls() {
  static RuntimeCalls calls;
  return &calls;
}
#else
CudaCalls* cuda_runtime_calls() { return nullptr; }
#endif

}  // namespace mtyolo
