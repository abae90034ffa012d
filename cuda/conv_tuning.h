// Which implementation computes a convolution of a network: forced by name, or the fastest of those that take
// it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cuda/autotune.h"
#include "cuda/conv_cudnn.h"
#include "ops/device/conv_provider.h"
#include "ops/device/kernels.h"

namespace mtyolo {

template <class Args>
using ConvProvidersOf = std::vector<std::unique_ptr<ConvProviderOf<Args>>>;
using ConvProviders = ConvProvidersOf<ConvArgs>;

// Our kernels, "cuda.igemm" or "simt.igemm"; a choice is "128x64x3/2": tile, stages, splits.
std::unique_ptr<ConvProvider> make_igemm_conv(std::shared_ptr<const DeviceKernels> kernels,
                                              const DeviceInfo& device);
// The same for sm_90a, "cuda.wgmma": box copies and products of warpgroups; refuses other GPUs.
std::unique_ptr<ConvProvider> make_hopper_conv(std::shared_ptr<const DeviceKernels> kernels,
                                               const DeviceInfo& device);
// Those of a device, ours first. On a GPU cuDNN and cuBLASLt are looked for, and `absent` gets a line for
// each that is not there.
ConvProviders conv_providers(const DeviceBackend& backend, std::vector<std::string>* absent);
// Of its gradients: "cuda.dgrad" or "cuda.wgrad", then cuDNN on a GPU where it is there. The kernels have a
// training().
ConvProvidersOf<ConvDgradArgs> dgrad_providers(const DeviceBackend& backend);
ConvProvidersOf<ConvWgradArgs> wgrad_providers(const DeviceBackend& backend, const CudnnOptions& cudnn = {});

// All that a measured time depends on, as one line: the operation, device, versions.
std::string conv_key(const ConvArgs& args, const DeviceInfo& device, const ConvProviders& providers);

// Measures on arrays of its own with random values; what args point to is not touched. `forced`: a provider's
// name, or "" for any. Throws Error{"no_implementation"} with each provider's reason when none takes it.
ChosenConv tune_conv(DeviceSession& session, const ConvProviders& providers, const ConvArgs& args,
                     const std::string& forced, Autotuner& tuner);

// All of that for a device; the tuner's file is written whenever something was measured. A convolution that
// the forced implementation does not take is left to the others, with one warning for each reason. Throws
// Error{kUsage} that lists the names when `forced` is none of them.
std::shared_ptr<ConvChooser> make_conv_chooser(const DeviceBackend& backend, const std::string& forced,
                                               TuneMode mode, const std::string& path);

}  // namespace mtyolo
