#include "cuda/conv_cudnn.h"

#include <algorithm>

#include "core/error.h"

namespace mtyolo {
namespace {

using cudnn::Api;
constexpr size_t kMostEngines = 8;
constexpr const char *kGaps = "takes weights without gaps only", *kAdds = "adds to no result";

void check(const Api& api, int status, const char* call) {
  if (status == 0) return;
  char text[512] = "";
  api.last_error(text, sizeof text);
  fail(ExitCode::kRuntime, "cudnn", "{} from {}{}{}", api.error_text(status), call, text[0] == 0 ? "" : ": ",
       text);
}

// A backend descriptor, destroyed with its owner.
class Descriptor {
 public:
  Descriptor(const Api& api, cudnn::Descriptor type) : api_(&api) {
    check(api, api.create_descriptor(type, &handle_), "cudnnBackendCreateDescriptor");
  }
  Descriptor(Descriptor&& other) noexcept
      : api_(other.api_), handle_(std::exchange(other.handle_, nullptr)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (handle_ != nullptr) api_->destroy_descriptor(handle_);
  }
  void* get() const { return handle_; }

  template <class T>
  Descriptor& set(cudnn::Attribute attribute, cudnn::Type type, const T* values, size_t count) {
    check(*api_, api_->set(handle_, attribute, type, int64_t(count), values), "cudnnBackendSetAttribute");
    return *this;
  }
  template <class T>
  Descriptor& set(cudnn::Attribute attribute, cudnn::Type type, const T& value) {
    return set(attribute, type, &value, 1);
  }
  Descriptor& set(cudnn::Attribute attribute, const Descriptor& value) {
    return set(attribute, cudnn::kTypeDescriptor, value.handle_);
  }
  bool try_finalize() { return api_->finalize(handle_) == 0; }
  Descriptor& finalize() {
    check(*api_, api_->finalize(handle_), "cudnnBackendFinalize");
    return *this;
  }

 private:
  const Api* api_;
  void* handle_ = nullptr;
};

cudnn::DataType type_of_data(KernelType type) {
  return type == KernelType::kF16    ? cudnn::kHalf
         : type == KernelType::kBF16 ? cudnn::kBFloat16
                                     : cudnn::kFloat;
}

// Of an address, at most 16.
int64_t alignment_of(const void* p) {
  const auto address = reinterpret_cast<uintptr_t>(p);
  return address == 0 ? 16 : std::min<int64_t>(16, int64_t(address & (~address + 1)));
}

CudnnTensor tensor_of(int64_t id, const KernelMap& m) {
  const int64_t pixel = m.pixel_stride, row = pixel * m.w;
  return {id,
          type_of_data(m.type),
          {m.n, m.c, m.h, m.w},
          {row * m.h, 1, row, pixel},
          alignment_of(m.data),
          false,
          m.data};
}

CudnnTensor channel_tensor(int64_t id, const float* data, int64_t c) {
  return {id, cudnn::kFloat, {1, c, 1, 1}, {c, 1, c, c}, alignment_of(data), false, const_cast<float*>(data)};
}

CudnnTensor filter_tensor(KernelType type, const void* data, int64_t k, int64_t c, int64_t side,
                          int64_t stride_k, int64_t stride_c, int64_t stride_tap) {
  return {1,
          type_of_data(type),
          {k, c, side, side},
          {stride_k, stride_c, side * stride_tap, stride_tap},
          alignment_of(data),
          false,
          const_cast<void*>(data)};
}

Descriptor make_tensor(const Api& api, const CudnnTensor& t) {
  Descriptor d(api, cudnn::kTensor);
  d.set(cudnn::kTensorType, cudnn::kTypeDataType, t.type)
      .set(cudnn::kTensorDims, cudnn::kTypeInt64, t.dims.data(), t.dims.size())
      .set(cudnn::kTensorStrides, cudnn::kTypeInt64, t.strides.data(), t.strides.size())
      .set(cudnn::kTensorId, cudnn::kTypeInt64, t.id)
      .set(cudnn::kTensorAlignment, cudnn::kTypeInt64, t.alignment)
      .set(cudnn::kTensorVirtual, cudnn::kTypeBool, t.is_virtual);
  d.finalize();
  return d;
}

// A graph of operations, with the descriptors it is made of.
struct Graph {
  std::vector<Descriptor> tensors, parts, operations;
  std::unique_ptr<Descriptor> graph;
};

void add_convolution(const Api& api, const CudnnConvGraph& g, Graph& out) {
  const int64_t spatial = 2, strides[] = {g.stride, g.stride}, pads[] = {g.pad, g.pad}, dilations[] = {1, 1};
  const float alpha = 1, beta = 0;
  Descriptor& conv = out.parts.emplace_back(api, cudnn::kConvolution);
  conv.set(cudnn::kConvolutionComputeType, cudnn::kTypeDataType, cudnn::kFloat)
      .set(cudnn::kConvolutionMode, cudnn::kTypeConvolutionMode, cudnn::kCrossCorrelation)
      .set(cudnn::kConvolutionSpatialDims, cudnn::kTypeInt64, spatial)
      .set(cudnn::kConvolutionDilations, cudnn::kTypeInt64, dilations, 2)
      .set(cudnn::kConvolutionStrides, cudnn::kTypeInt64, strides, 2)
      .set(cudnn::kConvolutionPrePaddings, cudnn::kTypeInt64, pads, 2)
      .set(cudnn::kConvolutionPostPaddings, cudnn::kTypeInt64, pads, 2)
      .finalize();
  const int first = g.operation == cudnn::kConvolutionForward        ? cudnn::kForwardAlpha
                    : g.operation == cudnn::kConvolutionBackwardData ? cudnn::kBackwardDataAlpha
                                                                     : cudnn::kBackwardFilterAlpha;
  const auto of_operation = [&](cudnn::Attribute forward) {
    return cudnn::Attribute(first + forward - cudnn::kForwardAlpha);
  };
  out.operations.emplace_back(api, g.operation)
      .set(of_operation(cudnn::kForwardX), out.tensors[0])
      .set(of_operation(cudnn::kForwardW), out.tensors[1])
      .set(of_operation(cudnn::kForwardY), out.tensors[2])
      .set(of_operation(cudnn::kForwardDescriptor), conv)
      .set(of_operation(cudnn::kForwardAlpha), cudnn::kTypeFloat, alpha)
      .set(of_operation(cudnn::kForwardBeta), cudnn::kTypeFloat, beta)
      .finalize();
}

void add_pointwise(const Api& api, const CudnnPointwise& p, Graph& out) {
  Descriptor& function = out.parts.emplace_back(api, cudnn::kPointwise);
  function.set(cudnn::kPointwiseMode, cudnn::kTypePointwiseMode, p.mode)
      .set(cudnn::kPointwiseMathType, cudnn::kTypeDataType, cudnn::kFloat);
  if (p.mode == cudnn::kReluFwd) function.set(cudnn::kPointwiseReluSlope, cudnn::kTypeDouble, p.slope);
  if (p.mode == cudnn::kSwishFwd) function.set(cudnn::kPointwiseSwishBeta, cudnn::kTypeDouble, 1.0);
  function.finalize();
  Descriptor& operation = out.operations.emplace_back(api, cudnn::kPointwiseOperation);
  operation.set(cudnn::kPointwiseDescriptor, function).set(cudnn::kPointwiseX, out.tensors[size_t(p.x)]);
  if (p.b >= 0) operation.set(cudnn::kPointwiseB, out.tensors[size_t(p.b)]);
  operation.set(cudnn::kPointwiseY, out.tensors[size_t(p.y)]).finalize();
}

Graph make_graph(const Api& api, void* handle, const CudnnConvGraph& g) {
  Graph out;
  for (const CudnnTensor& t : g.tensors) out.tensors.push_back(make_tensor(api, t));
  add_convolution(api, g, out);
  for (const CudnnPointwise& p : g.pointwise) add_pointwise(api, p, out);
  std::vector<void*> operations;
  for (const Descriptor& d : out.operations) operations.push_back(d.get());
  out.graph = std::make_unique<Descriptor>(api, cudnn::kOperationGraph);
  if (handle != nullptr) out.graph->set(cudnn::kGraphHandle, cudnn::kTypeHandle, handle);
  out.graph->set(cudnn::kGraphOperations, cudnn::kTypeDescriptor, operations.data(), operations.size());
  out.graph->finalize();
  return out;
}

class CudnnPlan : public ConvPlan {
 public:
  CudnnPlan(const Api& api, void* handle, Graph graph, Descriptor plan, const CudnnConvGraph& g)
      : api_(api), handle_(handle), graph_(std::move(graph)), plan_(std::move(plan)) {
    int64_t bytes = 0, count = 0;
    check(api, api.get(plan_.get(), cudnn::kPlanWorkspaceSize, cudnn::kTypeInt64, 1, &count, &bytes),
          "cudnnBackendGetAttribute");
    workspace_bytes_ = size_t(bytes);
    for (const CudnnTensor& t : g.tensors) {
      if (t.is_virtual) continue;
      ids_.push_back(t.id);
      pointers_.push_back(t.data);
    }
  }
  size_t workspace_bytes() const override { return workspace_bytes_; }
  void run(KernelStream stream, void* workspace) override {
    MTYOLO_CHECK(handle_ != nullptr, "this plan was made for a device that is not here");
    if (pack_ == nullptr || workspace != workspace_) {
      pack_ = std::make_unique<Descriptor>(api_, cudnn::kVariantPack);
      pack_->set(cudnn::kPackIds, cudnn::kTypeInt64, ids_.data(), ids_.size())
          .set(cudnn::kPackPointers, cudnn::kTypePointer, pointers_.data(), pointers_.size())
          .set(cudnn::kPackWorkspace, cudnn::kTypePointer, workspace)
          .finalize();
      workspace_ = workspace;
    }
    check(api_, api_.set_stream(handle_, stream.handle), "cudnnSetStream");
    check(api_, api_.execute(handle_, plan_.get(), pack_->get()), "cudnnBackendExecute");
  }

 private:
  const Api& api_;
  void* handle_;
  Graph graph_;
  Descriptor plan_;
  std::unique_ptr<Descriptor> pack_;
  void* workspace_ = nullptr;
  size_t workspace_bytes_ = 0;
  std::vector<int64_t> ids_;
  std::vector<void*> pointers_;
};

template <class Args>
class CudnnConv : public ConvProviderOf<Args> {
 public:
  CudnnConv(const Api& api, void* handle, CudnnOptions options)
      : api_(api), handle_(handle), options_(std::move(options)) {
    if (options_.device_json.empty()) return;
    device_ = std::make_unique<Descriptor>(api, cudnn::kDeviceProperties);
    device_->set(cudnn::kDeviceJson, cudnn::kTypeChar, options_.device_json.data(),
                 options_.device_json.size());
    device_->finalize();
  }
  ~CudnnConv() override {
    if (handle_ != nullptr) api_.destroy(handle_);
  }
  CudnnConv(const CudnnConv&) = delete;
  CudnnConv& operator=(const CudnnConv&) = delete;

  std::string name() const override { return "cudnn.graph"; }
  std::string version() const override { return std::to_string(api_.version()); }
  const char* refuses(const Args& args) const override { return cudnn_conv_refuses(args); }
  std::vector<std::string> choices(const Args& args) override;
  std::unique_ptr<ConvPlan> plan(const Args& args, const std::string& choice) override;

 private:
  CudnnConvGraph describe(const Args& args) const {
    CudnnConvGraph g = cudnn_conv_graph(args);
    if (options_.gw_of_math) g.tensors[1].type = g.tensors[0].type;
    return g;
  }
  std::vector<Descriptor> engine_configs(const Graph& graph) const;
  bool wanted(const Descriptor& config, KernelMath math) const;
  bool make_plan(const Descriptor& config, Descriptor& plan) const;

  const Api& api_;
  void* handle_;
  CudnnOptions options_;
  std::unique_ptr<Descriptor> device_;
};

template <class Args>
std::vector<Descriptor> CudnnConv<Args>::engine_configs(const Graph& graph) const {
  Descriptor heuristics(api_, cudnn::kEngineHeuristics);
  heuristics.set(cudnn::kHeuristicsGraph, *graph.graph)
      .set(cudnn::kHeuristicsMode, cudnn::kTypeHeuristicsMode, cudnn::kHeuristicsModeA);
  if (device_ != nullptr) heuristics.set(cudnn::kHeuristicsDevice, *device_);
  if (!heuristics.try_finalize()) return {};
  std::vector<Descriptor> configs;
  std::vector<void*> handles;
  for (size_t i = 0; i < kMostEngines; ++i)
    handles.push_back(configs.emplace_back(api_, cudnn::kEngineConfig).get());
  int64_t found = 0;
  check(api_,
        api_.get(heuristics.get(), cudnn::kHeuristicsResults, cudnn::kTypeDescriptor, int64_t(kMostEngines),
                 &found, handles.data()),
        "cudnnBackendGetAttribute");
  while (configs.size() > size_t(found)) configs.pop_back();
  return configs;
}

// Whether an engine keeps what the arguments promise: exact f32, equal bits.
template <class Args>
bool CudnnConv<Args>::wanted(const Descriptor& config, KernelMath math) const {
  Descriptor engine(api_, cudnn::kEngine);
  void* handle = engine.get();
  int64_t count = 0;
  if (api_.get(config.get(), cudnn::kConfigEngine, cudnn::kTypeDescriptor, 1, &count, &handle) != 0)
    return false;
  int notes[cudnn::kMostNotes] = {};
  count = 0;
  if (api_.get(engine.get(), cudnn::kEngineNotes, cudnn::kTypeNote, cudnn::kMostNotes, &count, notes) != 0)
    return false;
  const auto has = [&](int note) { return std::find(notes, notes + count, note) != notes + count; };
  if (has(cudnn::kNoteReducedSum)) return false;
  if (options_.deterministic && has(cudnn::kNoteNondeterministic)) return false;
  return math != KernelMath::kF32 || !(has(cudnn::kNoteTensorCore) || has(cudnn::kNoteDownConvert));
}

template <class Args>
bool CudnnConv<Args>::make_plan(const Descriptor& config, Descriptor& plan) const {
  if (handle_ != nullptr) plan.set(cudnn::kPlanHandle, cudnn::kTypeHandle, handle_);
  plan.set(cudnn::kPlanConfig, config);
  if (device_ != nullptr) plan.set(cudnn::kPlanDevice, *device_);
  if (!plan.try_finalize()) return false;
  int64_t bytes = 0, count = 0;
  return api_.get(plan.get(), cudnn::kPlanWorkspaceSize, cudnn::kTypeInt64, 1, &count, &bytes) == 0 &&
         size_t(bytes) <= options_.most_workspace_bytes;
}

// A choice is an engine by its place in the heuristics' answer, which one version gives alike each time.
template <class Args>
std::vector<std::string> CudnnConv<Args>::choices(const Args& args) {
  const Graph graph = make_graph(api_, handle_, describe(args));
  const std::vector<Descriptor> configs = engine_configs(graph);
  std::vector<std::string> names;
  for (size_t i = 0; i < configs.size(); ++i) {
    Descriptor plan(api_, cudnn::kExecutionPlan);
    if (wanted(configs[i], args.math) && make_plan(configs[i], plan))
      names.push_back("engine" + std::to_string(i));
  }
  return names;
}

template <class Args>
std::unique_ptr<ConvPlan> CudnnConv<Args>::plan(const Args& args, const std::string& choice) {
  const CudnnConvGraph g = describe(args);
  Graph graph = make_graph(api_, handle_, g);
  const std::vector<Descriptor> configs = engine_configs(graph);
  for (size_t i = 0; i < configs.size(); ++i) {
    Descriptor plan(api_, cudnn::kExecutionPlan);
    if ("engine" + std::to_string(i) == choice && make_plan(configs[i], plan))
      return std::make_unique<CudnnPlan>(api_, handle_, std::move(graph), std::move(plan), g);
  }
  fail(ExitCode::kRuntime, "cudnn", "cuDNN {} has no {} for this convolution", version(), quoted(choice));
}

}  // namespace

const char* cudnn_conv_refuses(const ConvArgs& args) {
  if (args.math == KernelMath::kS8) return "computes in f32, tf32, f16 and bf16 only";
  if (args.weight_stride != args.kernel * args.kernel * (args.x.c / args.groups)) return kGaps;
  if (args.second) return "writes no second copy";
  if (args.moments != nullptr) return "computes no moments";
  return nullptr;
}

const char* cudnn_conv_refuses(const ConvDgradArgs& args) {
  if (args.weight_stride != args.kernel * args.kernel * (args.gx.c / args.groups)) return kGaps;
  return args.accumulate ? kAdds : nullptr;
}

const char* cudnn_conv_refuses(const ConvWgradArgs& args) {
  if (args.non_finite != nullptr) return "looks for no infinite values";
  return args.accumulate ? kAdds : nullptr;
}

CudnnConvGraph cudnn_conv_graph(const ConvArgs& args) {
  CudnnConvGraph g;
  g.stride = args.stride, g.pad = args.pad;
  const int64_t c = args.x.c / args.groups;
  g.tensors.push_back(tensor_of(0, args.x));
  g.tensors.push_back(
      filter_tensor(args.x.type, args.weight, args.y.c, c, args.kernel, args.weight_stride, 1, c));
  const int64_t oh = args.y.h, ow = args.y.w, oc = args.y.c;
  // Values between two operations are never stored: f32, densely numbered.
  const auto add_virtual = [&] {
    g.tensors.push_back({int64_t(g.tensors.size()),
                         cudnn::kFloat,
                         {args.y.n, oc, oh, ow},
                         {oc * oh * ow, 1, oc * ow, oc},
                         16,
                         true,
                         nullptr});
    return g.tensors.back().id;
  };
  int64_t last = add_virtual();
  const auto add = [&](cudnn::Pointwise mode, int64_t b, double slope) {
    const int64_t y = add_virtual();
    g.pointwise.push_back({mode, last, b, y, slope});
    last = y;
  };
  const auto add_with = [&](cudnn::Pointwise mode, CudnnTensor operand) {
    operand.id = int64_t(g.tensors.size());
    g.tensors.push_back(operand);
    add(mode, operand.id, 0);
  };
  if (args.epilogue.scale != nullptr) add_with(cudnn::kMul, channel_tensor(0, args.epilogue.scale, oc));
  if (args.epilogue.bias != nullptr) add_with(cudnn::kAdd, channel_tensor(0, args.epilogue.bias, oc));
  const KernelActivation activation = args.epilogue.activation;
  if (activation == KernelActivation::kSilu) add(cudnn::kSwishFwd, -1, 0);
  if (activation == KernelActivation::kLeakyRelu) add(cudnn::kReluFwd, -1, 0.1);
  if (activation == KernelActivation::kRelu) add(cudnn::kReluFwd, -1, 0);
  if (activation == KernelActivation::kSigmoid) add(cudnn::kSigmoidFwd, -1, 0);
  if (args.residual) add_with(cudnn::kAdd, tensor_of(0, args.residual));
  g.tensors[size_t(last)] = tensor_of(last, args.y);
  return g;
}

CudnnConvGraph cudnn_conv_graph(const ConvDgradArgs& args) {
  const int c = args.gx.c / args.groups;
  const CudnnTensor weight =
      filter_tensor(args.gx.type, args.weight, args.gy.c, c, args.kernel, args.weight_stride, 1, c);
  return {cudnn::kConvolutionBackwardData,
          {tensor_of(0, args.gx), weight, tensor_of(2, args.gy)},
          {},
          args.stride,
          args.pad};
}

CudnnConvGraph cudnn_conv_graph(const ConvWgradArgs& args) {
  KernelMap x = args.x;
  if (args.channels != 0) x.c = args.channels;
  const CudnnTensor gw = filter_tensor(KernelType::kF32, args.gw, args.gy.c, x.c / args.groups, args.kernel,
                                       args.stride_k, args.stride_c, args.stride_tap);
  return {cudnn::kConvolutionBackwardFilter,
          {tensor_of(0, x), gw, tensor_of(2, args.gy)},
          {},
          args.stride,
          args.pad};
}

template <class Args>
std::unique_ptr<ConvProviderOf<Args>> make_cudnn_conv(const CudnnOptions& options, std::string* why) {
  const Api* api = cudnn::api(why);
  if (api == nullptr) return nullptr;
  void* handle = nullptr;
  if (options.device_json.empty()) {
    if (const int status = api->create(&handle); status != 0) {
      if (why != nullptr) *why = fmt::format("cuDNN does not start: {}", api->error_text(status));
      return nullptr;
    }
  }
  return std::make_unique<CudnnConv<Args>>(*api, handle, options);
}

template std::unique_ptr<ConvProviderOf<ConvArgs>> make_cudnn_conv(const CudnnOptions&, std::string*);
template std::unique_ptr<ConvProviderOf<ConvDgradArgs>> make_cudnn_conv(const CudnnOptions&, std::string*);
template std::unique_ptr<ConvProviderOf<ConvWgradArgs>> make_cudnn_conv(const CudnnOptions&, std::string*);

}  // namespace mtyolo
