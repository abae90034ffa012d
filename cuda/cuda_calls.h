// The calls of the CUDA runtime that host code makes, as a table that a test can fill with its own. Each
// returns a cudaError_t as a number, 0 when it went well.
#pragma once

#include <cstddef>

#include "ops/device/session.h"

namespace mtyolo {

// Values of cudaError_t that are treated each in their way (driver_types.h).
enum CudaError : int {
  kCudaOutOfMemory = 2,
  kCudaInsufficientDriver = 35,
  kCudaNoDevice = 100,
};

class CudaCalls {
 public:
  virtual ~CudaCalls() = default;
  virtual int driver_version(int* version) = 0;  // 13000 for 13.0, 0 without a driver
  virtual int runtime_version(int* version) = 0;
  virtual int count_devices(int* count) = 0;
  virtual int describe(int index, DeviceInfo* info) = 0;
  virtual int use_device(int index) = 0;  // of this thread's calls
  virtual int memory(size_t* free, size_t* total) = 0;
  virtual int allocate(void** pointer, size_t bytes) = 0;
  virtual int release(void* pointer) = 0;  // waits for the device
  virtual int allocate_pinned(void** pointer, size_t bytes) = 0;
  virtual int release_pinned(void* pointer) = 0;
  virtual int create_stream(void** stream) = 0;
  virtual int destroy_stream(void* stream) = 0;
  virtual int synchronize_stream(void* stream) = 0;
  virtual int copy(void* to, const void* from, size_t bytes, bool to_device, void* stream) = 0;
  virtual int create_event(void** event) = 0;
  virtual int destroy_event(void* event) = 0;
  virtual int record_event(void* event, void* stream) = 0;
  virtual int synchronize_event(void* event) = 0;
  virtual int elapsed_ms(float* ms, void* first, void* last) = 0;
  virtual int begin_capture(void* stream) = 0;
  virtual int end_capture(void* stream, void** graph) = 0;
  virtual int count_nodes(void* graph, size_t* nodes) = 0;
  virtual int instantiate(void** executable, void* graph) = 0;
  virtual int destroy_graph(void* graph) = 0;
  virtual int destroy_executable(void* executable) = 0;
  virtual int launch_graph(void* executable, void* stream) = 0;
  virtual int clear_error() = 0;  // the last error, which is forgotten unless the device is lost
  virtual const char* name_of(int error) = 0;
  virtual const char* text_of(int error) = 0;
};

// cudart's. Null in a build without CUDA.
CudaCalls* cuda_runtime_calls();

}  // namespace mtyolo
