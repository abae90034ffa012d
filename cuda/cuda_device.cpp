#include "cuda/cuda_device.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/log.h"
#include "core/text.h"
#include "cuda/check.h"

namespace mtyolo {
namespace {

constexpr int kOldestMajor = 7, kOldestMinor = 5;
constexpr char kCpuWorks[] = "--device cpu works on every machine";

std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

[[noreturn]] void fail_device(std::string message, std::string suggestion) {
  throw Error({ExitCode::kRuntime, "device", std::move(message), {}, {}, std::move(suggestion)});
}

}  // namespace

bool is_sticky_cuda_error(int error) {
  // Unavailable, no device, start failed, uncorrectable memory, link, contained; illegal address, timeout,
  // context destroyed, assert, what a kernel did wrong, launch failure; leak of tensor memory; unknown.
  constexpr std::array kSticky{46,  100, 127, 214, 220, 226, 700, 702, 709,
                               710, 714, 715, 716, 717, 718, 719, 721, 999};
  return std::find(kSticky.begin(), kSticky.end(), error) != kSticky.end();
}

std::string cuda_archs() {
#ifdef MTYOLO_CUDA_ARCHS
  return MTYOLO_CUDA_ARCHS;
#else
  return "";
#endif
}

bool kernels_run_on(const std::string& archs, int major, int minor) {
  for (const std::string_view arch : split(archs, ',')) {
    if (arch == "ptx") {
      if (major >= 8) return true;
      continue;
    }
    const bool exact = arch.ends_with('a');
    const auto number = parse_int(arch.substr(0, arch.size() - (exact ? 1 : 0)));
    if (!number.has_value() || *number / 10 != major) continue;
    if (exact ? *number % 10 == minor : *number % 10 <= minor) return true;
  }
  return false;
}

std::string cuda_absence(CudaCalls* calls) {
  if (calls == nullptr) return "this build has no CUDA";
  int driver = 0, runtime = 0, count = 0;
  if (calls->driver_version(&driver) != 0 || driver == 0)
    return "no NVIDIA driver is installed (libcuda.so.1 is not found)";
  const int error = calls->count_devices(&count);
  if (error == 0 && count > 0) return "";
  calls->clear_error();
  if (error == kCudaInsufficientDriver) {
    calls->runtime_version(&runtime);
    return fmt::format("the NVIDIA driver is too old: it supports CUDA {}, this program needs {}.0 or later",
                       version_text(driver), runtime / 1000);
  }
  if (error == 0 || error == kCudaNoDevice) return "the NVIDIA driver finds no GPU";
  return fmt::format("the NVIDIA driver does not start: {} ({})", calls->name_of(error),
                     calls->text_of(error));
}

std::vector<DeviceInfo> cuda_devices(CudaCalls* calls) {
  std::vector<DeviceInfo> devices;
  int count = 0;
  if (!cuda_absence(calls).empty() || calls->count_devices(&count) != 0) return devices;
  for (int i = 0; i < count; ++i) {
    DeviceInfo info;
    if (const int error = calls->describe(i, &info); error != 0)
      fail_device(fmt::format("cuda:{} does not describe itself: {} ({})", i, calls->name_of(error),
                              calls->text_of(error)),
                  "see nvidia-smi");
    devices.push_back(std::move(info));
  }
  return devices;
}

CudaDevice::CudaDevice(CudaCalls& calls, int index, const std::string& archs) : calls_(calls), index_(index) {
  if (const std::string absence = cuda_absence(&calls); !absence.empty()) fail_device(absence, kCpuWorks);
  const std::vector<DeviceInfo> devices = cuda_devices(&calls);
  if (index < 0 || size_t(index) >= devices.size())
    fail_device(fmt::format("there is no cuda:{}", index),
                fmt::format("the GPUs here are cuda:0 to cuda:{}", devices.size() - 1));
  info_ = devices[size_t(index)];
  const int major = info_.major, minor = info_.minor;
  if (major < kOldestMajor || (major == kOldestMajor && minor < kOldestMinor))
    fail_device(fmt::format("{} has compute capability {}.{}, {}.{} or newer is needed", name(), major, minor,
                            kOldestMajor, kOldestMinor),
                kCpuWorks);
  if (!kernels_run_on(archs, major, minor))
    fail_device(fmt::format("this program has kernels for {}, {} has compute capability {}.{}", archs, name(),
                            major, minor),
                fmt::format("configure with -DMTYOLO_CUDA_ARCHS={}{}{}", major, minor,
                            major == 9 && minor == 0 ? "a" : ""));
  MTYOLO_CUDA_CHECK(*this, use_device(index));
}

std::string CudaDevice::name() const { return fmt::format("cuda:{} ({})", index_, info_.name); }

void CudaDevice::begin() {
  if (lost())
    throw Error({ExitCode::kRuntime,
                 "device_lost",
                 fmt::format("{} cannot be used any more since: {}", name(), cause_),
                 {},
                 {},
                 "start the program again"});
  MTYOLO_CUDA_CHECK(*this, use_device(index_));
}

std::string CudaDevice::memory_text() {
  size_t free = 0, total = 0;
  if (lost() || calls_.memory(&free, &total) != 0) return "";
  return fmt::format("{} of {} MiB free", free >> 20, total >> 20);
}

void CudaDevice::check(int error, const char* call, const char* file, int line) {
  if (error == 0) return;
  calls_.clear_error();
  std::string text = fmt::format("{} ({}) from {} at {}:{} on {}", calls_.name_of(error),
                                 calls_.text_of(error), call, project_path(file), line, name());
  if (is_sticky_cuda_error(error)) {
    if (cause_.empty()) cause_ = text;
  } else if (const std::string memory = memory_text(); !memory.empty()) {
    text += ", " + memory;
  }
  throw Error({ExitCode::kRuntime, "cuda", std::move(text), {}, {}, cuda_advice(error)});
}

void CudaDevice::report(int error, const char* call) noexcept {
  if (error == 0 || lost()) return;
  try {
    log::warning("{} ({}) from {} on {}", calls_.name_of(error), calls_.text_of(error), call, name());
  } catch (...) {  // a message that cannot be written is not worth the process
  }
}

void* CudaMemory::allocate(size_t bytes) {
  device_->begin();
  void* pointer = nullptr;
  const int error = device_->calls().allocate(&pointer, bytes);
  if (error == kCudaOutOfMemory) {
    device_->calls().clear_error();
    throw Error({ExitCode::kRuntime,
                 "out_of_memory",
                 fmt::format("cannot allocate {} MiB on {}: {}, this program holds {} MiB",
                             (bytes + (1 << 20) - 1) >> 20, device_->name(), device_->memory_text(),
                             held_bytes_ >> 20),
                 {},
                 {},
                 "use a smaller --img-size or --batch-size, or end what else uses the GPU"});
  }
  device_->check(error, "allocate(&pointer, bytes)", __FILE__, __LINE__);
  held_bytes_ += bytes;
  return pointer;
}

void CudaMemory::free(void* pointer, size_t bytes) noexcept {
  held_bytes_ -= bytes;
  if (!device_->lost()) device_->report(device_->calls().release(pointer), "release(pointer)");
}

}  // namespace mtyolo
