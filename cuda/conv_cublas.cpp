#include "cuda/conv_cublas.h"

#include <algorithm>

#include "core/error.h"

namespace mtyolo {
namespace {

using cublaslt::Api;
constexpr int kMostAlgorithms = 8;
constexpr size_t kMostWorkspaceBytes = size_t(32) << 20;
constexpr size_t kWorkspaceAlignment = 256;

void check(const Api& api, int status, const char* call) {
  if (status != 0) fail(ExitCode::kRuntime, "cublas", "{} from {}", api.status_text(status), call);
}

// One of the library's objects, destroyed with its owner.
class Object {
 public:
  explicit Object(int (*destroy)(void*)) : destroy_(destroy) {}
  Object(Object&& other) noexcept
      : destroy_(other.destroy_), handle_(std::exchange(other.handle_, nullptr)) {}
  Object& operator=(Object&&) = delete;
  ~Object() {
    if (handle_ != nullptr) destroy_(handle_);
  }
  void** out() { return &handle_; }
  void* get() const { return handle_; }

 private:
  int (*destroy_)(void*);
  void* handle_ = nullptr;
};

// What one product needs, but for the algorithm.
struct Problem {
  Object matmul, a, b, d;
};

cublaslt::DataType type_of_data(KernelType type) {
  return type == KernelType::kF16    ? cublaslt::kHalf
         : type == KernelType::kBF16 ? cublaslt::kBFloat16
                                     : cublaslt::kFloat;
}

template <class T>
void set(const Api& api, const Object& matmul, cublaslt::MatmulAttribute attribute, const T& value) {
  check(api, api.set_matmul(matmul.get(), attribute, &value, sizeof value), "cublasLtMatmulDescSetAttribute");
}

Object make_layout(const Api& api, int type, int rows, int columns, int stride) {
  Object layout(api.destroy_layout);
  check(api, api.create_layout(layout.out(), type, uint64_t(rows), uint64_t(columns), stride),
        "cublasLtMatrixLayoutCreate");
  return layout;
}

// `bias` in the type that the epilogue takes; only its alignment counts for the choice of an algorithm.
Problem make_problem(const Api& api, const CublasProduct& p, const void* bias) {
  Object matmul(api.destroy_matmul);
  check(api, api.create_matmul(matmul.out(), p.compute, cublaslt::kFloat), "cublasLtMatmulDescCreate");
  set(api, matmul, cublaslt::kTransA, cublaslt::kTranspose);
  set(api, matmul, cublaslt::kEpilogue, p.epilogue);
  if (p.epilogue == cublaslt::kBias || p.epilogue == cublaslt::kReluBias)
    set(api, matmul, cublaslt::kBiasPointer, bias);
  return {std::move(matmul), make_layout(api, p.operands, p.k, p.m, p.a_stride),
          make_layout(api, p.operands, p.k, p.n, p.b_stride),
          make_layout(api, p.result, p.m, p.n, p.d_stride)};
}

uint32_t alignment_of(const void* p) {
  const auto address = reinterpret_cast<uintptr_t>(p);
  return address == 0 ? 256 : uint32_t(std::min<uintptr_t>(256, address & (~address + 1)));
}

size_t round_up(size_t bytes) {
  return (bytes + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment;
}
// The converted bias lies at the beginning of the workspace.
size_t bias_bytes(const ConvArgs& args, const CublasProduct& p) {
  return p.convert_bias ? round_up(size_t(p.m) * size_t(bytes_of(args.y.type))) : 0;
}

class CublasPlan : public ConvPlan {
 public:
  CublasPlan(const Api& api, void* handle, std::shared_ptr<const DeviceKernels> kernels, const ConvArgs& args,
             Problem problem, const cublaslt::Heuristic& found)
      : api_(api),
        handle_(handle),
        kernels_(std::move(kernels)),
        args_(args),
        product_(cublas_product(args)),
        problem_(std::move(problem)),
        found_(found),
        bias_bytes_(bias_bytes(args, product_)) {}
  size_t workspace_bytes() const override { return bias_bytes_ + found_.workspace_bytes; }
  void run(KernelStream stream, void* workspace) override {
    if (product_.convert_bias) {
      const int c = args_.y.c;
      kernels_->copy_map(stream, {const_cast<float*>(args_.epilogue.bias), KernelType::kF32, 1, 1, 1, c, c},
                         {workspace, args_.y.type, 1, 1, 1, c, c});
      const void* bias = workspace;
      set(api_, problem_.matmul, cublaslt::kBiasPointer, bias);
    }
    const float one = 1, zero = 0;
    char* rest = static_cast<char*>(workspace) + bias_bytes_;
    check(api_,
          api_.matmul(handle_, problem_.matmul.get(), &one, args_.weight, problem_.a.get(), args_.x.data,
                      problem_.b.get(), &zero, args_.y.data, problem_.d.get(), args_.y.data, problem_.d.get(),
                      &found_.algorithm, found_.workspace_bytes == 0 ? nullptr : rest, found_.workspace_bytes,
                      stream.handle),
          "cublasLtMatmul");
    if (product_.activate_after) kernels_->activate(stream, args_.epilogue.activation, args_.y, args_.y);
  }

 private:
  const Api& api_;
  void* handle_;
  std::shared_ptr<const DeviceKernels> kernels_;
  ConvArgs args_;
  CublasProduct product_;
  Problem problem_;
  cublaslt::Heuristic found_;
  size_t bias_bytes_;
};

class CublasConv : public ConvProvider {
 public:
  CublasConv(const Api& api, void* handle, std::shared_ptr<const DeviceKernels> kernels)
      : api_(api), handle_(handle), kernels_(std::move(kernels)) {}
  ~CublasConv() override { api_.destroy(handle_); }
  CublasConv(const CublasConv&) = delete;
  CublasConv& operator=(const CublasConv&) = delete;

  std::string name() const override { return "cublas.lt"; }
  std::string version() const override { return std::to_string(api_.version()); }
  const char* refuses(const ConvArgs& args) const override { return cublas_conv_refuses(args); }
  // A choice is an algorithm by its place in the heuristics' answer, which one version gives alike each time.
  std::vector<std::string> choices(const ConvArgs& args) override {
    std::vector<std::string> names;
    for (size_t i = 0; i < algorithms(args, make_problem(args)).size(); ++i)
      names.push_back("algorithm" + std::to_string(i));
    return names;
  }
  std::unique_ptr<ConvPlan> plan(const ConvArgs& args, const std::string& choice) override {
    Problem problem = make_problem(args);
    const std::vector<cublaslt::Heuristic> found = algorithms(args, problem);
    for (size_t i = 0; i < found.size(); ++i)
      if ("algorithm" + std::to_string(i) == choice)
        return std::make_unique<CublasPlan>(api_, handle_, kernels_, args, std::move(problem), found[i]);
    fail(ExitCode::kRuntime, "cublas", "cuBLASLt {} has no {} for this product", version(), quoted(choice));
  }

 private:
  // With a null pointer for a bias that is yet to be converted: the workspace is aligned.
  Problem make_problem(const ConvArgs& args) const {
    const CublasProduct p = cublas_product(args);
    return mtyolo::make_problem(api_, p, p.convert_bias ? nullptr : args.epilogue.bias);
  }
  std::vector<cublaslt::Heuristic> algorithms(const ConvArgs& args, const Problem& problem) const;

  const Api& api_;
  void* handle_;
  std::shared_ptr<const DeviceKernels> kernels_;
};

std::vector<cublaslt::Heuristic> CublasConv::algorithms(const ConvArgs& args, const Problem& problem) const {
  Object preference(api_.destroy_preference);
  check(api_, api_.create_preference(preference.out()), "cublasLtMatmulPreferenceCreate");
  const auto prefer = [&](cublaslt::PreferenceAttribute attribute, const auto& value) {
    check(api_, api_.set_preference(preference.get(), attribute, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute");
  };
  prefer(cublaslt::kMostWorkspace, kMostWorkspaceBytes);
  prefer(cublaslt::kReductionMask, cublaslt::kReductionInCompute);
  prefer(cublaslt::kAlignmentA, alignment_of(args.weight));
  prefer(cublaslt::kAlignmentB, alignment_of(args.x.data));
  prefer(cublaslt::kAlignmentC, alignment_of(args.y.data));
  prefer(cublaslt::kAlignmentD, alignment_of(args.y.data));
  std::vector<cublaslt::Heuristic> results(kMostAlgorithms);
  int found = 0;
  const int status =
      api_.heuristics(handle_, problem.matmul.get(), problem.a.get(), problem.b.get(), problem.d.get(),
                      problem.d.get(), preference.get(), kMostAlgorithms, results.data(), &found);
  results.resize(status == 0 ? size_t(found) : 0);
  std::erase_if(results, [](const cublaslt::Heuristic& h) { return h.status != 0; });
  return results;
}

}  // namespace

const char* cublas_conv_refuses(const ConvArgs& args) {
  if (args.kernel != 1 || args.stride != 1 || args.pad != 0)
    return "computes 1x1 convolutions of stride 1 only";
  if (args.groups != 1) return "computes no groups";
  if (args.math == KernelMath::kS8) return "computes in f32, tf32, f16 and bf16 only";
  if (args.epilogue.scale != nullptr) return "scales no channels";
  if (args.residual) return "adds no residual";
  if (args.second) return "writes no second copy";
  if (args.moments != nullptr) return "computes no moments";
  return nullptr;
}

CublasProduct cublas_product(const ConvArgs& args) {
  CublasProduct p;
  p.m = args.y.c, p.n = int(args.y.pixels()), p.k = args.x.c;
  p.a_stride = args.weight_stride, p.b_stride = args.x.pixel_stride, p.d_stride = args.y.pixel_stride;
  p.operands = type_of_data(type_of(args.math)), p.result = type_of_data(args.y.type);
  p.compute = args.math == KernelMath::kF32    ? cublaslt::kCompute32FPedantic
              : args.math == KernelMath::kTF32 ? cublaslt::kComputeTF32
                                               : cublaslt::kCompute32F;
  const bool bias = args.epilogue.bias != nullptr;
  const bool relu = args.epilogue.activation == KernelActivation::kRelu;
  p.epilogue = bias   ? (relu ? cublaslt::kReluBias : cublaslt::kBias)
               : relu ? cublaslt::kRelu
                      : cublaslt::kPlain;
  p.convert_bias = bias && args.y.type != KernelType::kF32;
  p.activate_after = !relu && args.epilogue.activation != KernelActivation::kNone;
  return p;
}

std::unique_ptr<ConvProvider> make_cublas_conv(std::shared_ptr<const DeviceKernels> kernels,
                                               std::string* why) {
  const Api* api = cublaslt::api(why);
  if (api == nullptr) return nullptr;
  void* handle = nullptr;
  if (const int status = api->create(&handle); status != 0) {
    if (why != nullptr) *why = fmt::format("cuBLASLt does not start: {}", api->status_text(status));
    return nullptr;
  }
  return std::make_unique<CublasConv>(*api, handle, std::move(kernels));
}

}  // namespace mtyolo
