#include "models/plan/device_network.h"

#include <algorithm>

#include "core/profile.h"

namespace mtyolo::models {
namespace {

constexpr int kImageChannels = 4;     // as stored
constexpr int64_t kPlaceBytes = 256;  // tensors begin at multiples
constexpr float kLeakySlope = 0.1f;   // of KernelActivation::kLeakyRelu

int64_t rounded(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

[[noreturn]] void refuse(const GraphNode& node, const std::string& what) {
  throw Error({ExitCode::kModel,
               "not_compilable",
               fmt::format("row {} ({}): no kernel of the device runs a {}", node.row, node.scope, what),
               {},
               {},
               "give --device cpu"});
}

const ops::Conv2d& conv_of(const GraphNode& node) { return std::get<ops::Conv2d>(node.attrs); }

// [O][kh][kw][C] from [O,C,kh,kw], channels padded to `channels`, rows of `stride` elements.
template <class T>
void pack_krsc(const Tensor& weight, int channels, int stride, T* to) {
  const float* from = weight.data<float>();
  const int64_t c_in = weight.size(1), taps = weight.size(2) * weight.size(3);
  for (int64_t k = 0; k < weight.size(0); ++k)
    for (int64_t c = 0; c < c_in; ++c)
      for (int64_t tap = 0; tap < taps; ++tap)
        to[k * stride + tap * channels + c] = T(from[(k * c_in + c) * taps + tap]);
}

}  // namespace

KernelActivation kernel_activation(const GraphNode& node, const ops::Activation& activation) {
  switch (activation.kind) {
    case ops::ActivationKind::kIdentity:
      return KernelActivation::kNone;
    case ops::ActivationKind::kSilu:
      return KernelActivation::kSilu;
    case ops::ActivationKind::kSigmoid:
      return KernelActivation::kSigmoid;
    case ops::ActivationKind::kRelu:
      return KernelActivation::kRelu;
    case ops::ActivationKind::kLeakyRelu:
      if (activation.slope == kLeakySlope) return KernelActivation::kLeakyRelu;
      break;
    default:
      break;
  }
  refuse(node, fmt::format("{}{}", ops::name(activation.kind),
                           activation.kind == ops::ActivationKind::kLeakyRelu
                               ? fmt::format(" with slope {}", activation.slope)
                               : ""));
}

DeviceNetwork::DeviceNetwork(Context& ctx, DeviceBackend backend, const Graph& graph,
                             const StateDict& weights, KernelMath math)
    : backend_(std::move(backend)), math_(math) {
  const profile::Scope scope("pack weights");
  const FoldedGraph folded = fold_graph(graph);
  graph_ = chain_pools(folded.graph);
  Epilogues epilogues = merge_epilogues(graph_);
  value_of_ = std::move(epilogues.value_of);
  places_ = std::make_unique<ConcatPlaces>(graph_, value_of_, 16 / bytes_of(type_of(math)), true);
  describe(epilogues);
  find_seconds();
  merge_siblings();
  const Tensor host = Tensor::zeros({place_weights()}, DType::kU8, ctx.allocator());
  pack(ctx, folded.recipes, weights, reinterpret_cast<char*>(host.data<uint8_t>()));
  weights_ = Storage::allocate(backend_.session->allocator(), host.size_bytes());
  backend_.session->upload(weights_->data(), host.raw(), host.size_bytes());
  host_allocator()->release_cached();  // folded weights on their way to the packed ones
}

int DeviceNetwork::stored_channels(int value) const {
  const GraphNode& node = graph_.nodes[size_t(value)];
  if (std::holds_alternative<Input>(node.attrs)) return kImageChannels;
  return int(rounded(node.channels, 16 / bytes_of(type_of(math_))));
}

const DeviceConv* DeviceNetwork::conv(int node) const {
  const auto found = convs_.find(node);
  return found == convs_.end() ? nullptr : &found->second;
}

void DeviceNetwork::describe(const Epilogues& epilogues) {
  producer_.assign(graph_.nodes.size(), -1);
  for (const GraphNode& node : graph_.nodes) {
    if (const auto* input = std::get_if<Input>(&node.attrs); input != nullptr && input->channels != 3)
      refuse(node, fmt::format("image of {} channels", input->channels));
    const auto* p = std::get_if<ops::Conv2d>(&node.attrs);
    if (p == nullptr) continue;
    if (!(*p == ops::Conv2d::square(p->kernel_h, p->stride_h, p->pad_h, p->groups)))
      refuse(node, "convolution that is not square or has dilation");
    const Epilogue& epilogue = epilogues.of_conv.at(node.id);
    DeviceConv conv;
    conv.nodes = {node.id};
    conv.activation = kernel_activation(node, epilogue.activation);
    conv.residual = epilogue.residual;
    const int x = value_of(node.inputs[0]);
    conv.in_channels = p->groups == 1 ? stored_channels(x) : graph_.nodes[size_t(x)].channels / p->groups;
    convs_[node.id] = conv;
    producer_[size_t(value_of(node.id))] = node.id;
  }
}

void DeviceNetwork::find_seconds() {
  const auto offer = [&](int value, int node, int channel) {
    const int conv = producer_[size_t(value)];
    if (conv >= 0 && convs_.at(conv).second < 0)
      convs_.at(conv).second = node, convs_.at(conv).second_channel = channel;
  };
  for (const GraphNode& node : graph_.nodes)
    if (const auto* up = std::get_if<ops::Upsample>(&node.attrs); up != nullptr && up->scale == 2)
      offer(value_of(node.inputs[0]), node.id, 0);
  for (const GraphNode& node : graph_.nodes) {
    if (!std::holds_alternative<ops::Concat>(node.attrs)) continue;
    const auto& copied = places_->copied_inputs(node.id);
    int channel = 0;
    for (int i = 0; i < int(node.inputs.size()); ++i) {
      const int value = value_of(node.inputs[size_t(i)]);
      if (std::find(copied.begin(), copied.end(), i) != copied.end()) offer(value, node.id, channel);
      channel += graph_.nodes[size_t(value)].channels;
    }
  }
}

bool DeviceNetwork::made_by_second(int node) const {
  const int conv = producer_[size_t(value_of(graph_.nodes[size_t(node)].inputs[0]))];
  return conv >= 0 && convs_.contains(conv) && convs_.at(conv).second == node;
}

bool DeviceNetwork::copied_by_second(int concat, int input) const {
  const GraphNode& node = graph_.nodes[size_t(concat)];
  int channel = 0;
  for (int i = 0; i < input; ++i) channel += graph_.nodes[size_t(value_of(node.inputs[size_t(i)]))].channels;
  const int conv = producer_[size_t(value_of(node.inputs[size_t(input)]))];
  return conv >= 0 && convs_.contains(conv) && convs_.at(conv).second == concat &&
         convs_.at(conv).second_channel == channel;
}

bool DeviceNetwork::are_siblings(int left, int right) const {
  const GraphNode &a = graph_.nodes[size_t(left)], &b = graph_.nodes[size_t(right)];
  const DeviceConv &p = convs_.at(left), &q = convs_.at(right);
  return conv_of(a) == ops::Conv2d::square(1, 1, 0) && conv_of(a) == conv_of(b) &&
         value_of(a.inputs[0]) == value_of(b.inputs[0]) && p.activation == q.activation && !p.residual &&
         !q.residual && p.second < 0 && q.second < 0;
}

// Neighbours in a concat, from left to right.
void DeviceNetwork::merge_siblings() {
  for (const GraphNode& node : graph_.nodes) {
    if (!std::holds_alternative<ops::Concat>(node.attrs)) continue;
    std::vector<int> run;  // convolutions
    int channel = 0, end = -1;
    const auto close = [&] {
      if (run.size() > 1) {
        DeviceConv merged = convs_.at(run[0]);
        merged.nodes = run;
        for (const int id : run) convs_.erase(id);
        convs_[*std::min_element(run.begin(), run.end())] = merged;
      }
      run.clear();
    };
    for (const int input : node.inputs) {
      const int value = value_of(input), conv = producer_[size_t(value)];
      const bool here = places_->parent(value) == node.id && places_->channel_in_parent(value) == channel;
      const bool single = here && conv >= 0 && convs_.contains(conv);
      if (!single || run.empty() || end != channel || !are_siblings(run.back(), conv)) close();
      if (single) run.push_back(conv);
      channel += graph_.nodes[size_t(value)].channels;
      end = channel;
    }
    close();
  }
}

// Bytes in all.
int64_t DeviceNetwork::place_weights() {
  const int item = bytes_of(type_of(math_));
  int64_t end = 0;
  const auto take = [&](int64_t bytes) {
    const int64_t at = end;
    end = rounded(end + bytes, kPlaceBytes);
    return at;
  };
  for (auto& [id, conv] : convs_) {
    const int kernel = conv_of(graph_.nodes[size_t(id)]).kernel_h;
    conv.weight_stride = int(rounded(int64_t{kernel} * kernel * conv.in_channels, 16 / item));
    int64_t out = 0;
    for (const int node : conv.nodes) out += graph_.nodes[size_t(node)].channels;
    conv.weight = take(out * conv.weight_stride * item);
    conv.bias = take(out * int64_t(sizeof(float)));
  }
  for (const GraphNode& node : graph_.nodes)
    if (std::holds_alternative<ops::CrossStitch>(node.attrs))
      stitches_[node.id] = take(int64_t(node.inputs.size()) * node.channels * int64_t(sizeof(float)));
  for (const Head& head : graph_.heads)
    class_ids_.push_back(take(int64_t(head.classes.size() * sizeof(int))));
  return end;
}

void DeviceNetwork::pack(Context& ctx, const std::map<int, FoldRecipe>& recipes, const StateDict& weights,
                         char* to) const {
  struct Job {
    int node;
    const DeviceConv* conv;
    int64_t first;  // output channel
  };
  std::vector<Job> jobs;
  for (const auto& [id, conv] : convs_) {
    int64_t first = 0;
    for (const int node : conv.nodes) {
      jobs.push_back({node, &conv, first});
      first += graph_.nodes[size_t(node)].channels;
    }
  }
  ctx.pool().parallel_for(int64_t(jobs.size()), [&](int64_t i) {
    const Job& job = jobs[size_t(i)];
    const DeviceConv& conv = *job.conv;
    const ops::ConvWeights w =
        folded_weights(recipes.at(job.node), conv_of(graph_.nodes[size_t(job.node)]), weights);
    char* at = to + conv.weight + job.first * conv.weight_stride * bytes_of(type_of(math_));
    const Tensor weight = w.weight.contiguous(), bias = w.bias.contiguous();
    if (math_ == KernelMath::kF16)
      pack_krsc(weight, conv.in_channels, conv.weight_stride, reinterpret_cast<Half*>(at));
    else if (math_ == KernelMath::kBF16)
      pack_krsc(weight, conv.in_channels, conv.weight_stride, reinterpret_cast<BFloat16*>(at));
    else pack_krsc(weight, conv.in_channels, conv.weight_stride, reinterpret_cast<float*>(at));
    std::copy_n(bias.data<float>(), bias.numel(), reinterpret_cast<float*>(to + conv.bias) + job.first);
  });
  for (const auto& [id, offset] : stitches_) {
    const std::string& name = graph_.nodes[size_t(id)].params[0];
    const Tensor* weight = weights.find(name);
    if (weight == nullptr)
      fail(ExitCode::kModel, "missing_tensor", "the weights have no tensor {}", quoted(name));
    const Tensor f32 = weight->to(DType::kF32).contiguous();
    std::copy_n(f32.data<float>(), f32.numel(), reinterpret_cast<float*>(to + offset));
  }
  for (size_t h = 0; h < graph_.heads.size(); ++h)
    std::copy(graph_.heads[h].classes.begin(), graph_.heads[h].classes.end(),
              reinterpret_cast<int*>(to + class_ids_[h]));
}

}  // namespace mtyolo::models
