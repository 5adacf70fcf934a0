#include <algorithm>

#include <tern/core/autograd/autograd.h>
#include <tern/core/storage.h>
#include <tern/core/text.h>
#include <tern/train/loop/detail/profile_recorder.h>

namespace tern::train {
namespace {

constexpr size_t kMaxEvents = 200'000;  // a trace of about 30 MB

// Multiply-accumulates of a recorded operation whose inputs tell them: matrix products with weights [out, in], and
// attention over queries [B, H, T, d]. 0 for all others.
int64_t macs_of(const autograd::Node& node) {
  const std::string_view op = node.name();
  const auto& inputs = node.edges;
  int64_t macs = 0;
  if (op.starts_with("linear") || op == "feed_forward") {
    const Shape& x = inputs[0].shape;
    const int64_t width = x.empty() ? 0 : x[x.size() - 1], rows = width == 0 ? 0 : numel_of(x) / width;
    for (size_t i = 1; i < inputs.size(); ++i)
      if (inputs[i].shape.size() == 2) macs += rows * numel_of(inputs[i].shape);
  } else if (op == "scaled_dot_product_attention" && inputs[1].shape.size() >= 2) {
    macs = 2 * numel_of(inputs[0].shape) * inputs[1].shape[inputs[1].shape.size() - 2];
  }
  return macs;
}

}  // namespace

int64_t ProfileRecorder::now() const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
}

size_t ProfileRecorder::index_of(std::string_view name) {
  if (const auto it = name_index.find(name); it != name_index.end()) return it->second;
  names.emplace_back(name);
  costs.emplace_back();
  name_index.emplace(names.back(), names.size() - 1);
  return names.size() - 1;
}

const ProfileRecorder::Cost* ProfileRecorder::find(std::string_view name) const {
  const auto it = name_index.find(name);
  return it == name_index.end() ? nullptr : &costs[it->second];
}

void ProfileRecorder::begin(Category category, std::string_view name, const char* op) {
  const size_t index = index_of(name);
  const size_t needed = events.size() + frames.size() + 1;
  if (needed > events.capacity() && events.size() < kMaxEvents) events.reserve(std::max<size_t>(1024, 2 * needed));
  frames.push_back({category, index, op, 0, thread_allocated_bytes()});
  frames.back().begin = now();
}

int64_t ProfileRecorder::end() noexcept {
  const int64_t time = now();
  const Frame frame = frames.back();
  frames.pop_back();
  const int64_t duration = time - frame.begin, self = duration - frame.inside;
  const int64_t bytes = thread_allocated_bytes() - frame.bytes_at_begin, self_bytes = bytes - frame.inside_bytes;
  if (!frames.empty()) {
    frames.back().inside += duration;
    frames.back().inside_bytes += bytes;
  }
  Cost& cost = costs[frame.name];
  switch (frame.category) {
    case Category::kForward:
      cost.forward += self, cost.forward_bytes += self_bytes, ++cost.calls;
      break;
    case Category::kBackward:
      if (names[frame.name] == kProfileLossBackward)
        cost.phase += self;
      else
        cost.backward += self, cost.backward_bytes += self_bytes, ++cost.nodes;
      break;
    case Category::kPhase:
      if (names[frame.name] == "forward")
        add_model_forward(self, self_bytes);
      else
        cost.phase += self;
      break;
    case Category::kStep:
      other += self;
      break;
    case Category::kOutside:
      break;
  }
  if (events.size() < events.capacity())
    events.push_back({frame.category, frame.name, frame.op, frame.begin, duration, bytes});
  else
    ++dropped;
  last_end = time;
  return duration;
}

void ProfileRecorder::add_model_forward(int64_t ns, int64_t bytes) noexcept {
  Cost& model = costs[0];  // "", the first name
  model.forward += ns;
  model.forward_bytes += bytes;
  ++model.calls;
}

bool ProfileRecorder::measuring() const {
  return watching.has_value();
}

void ProfileRecorder::begin_step(const data::LoaderStats& loading) {
  const bool same_epoch = loading.batches > last_batches;
  const double wait = std::max(0.0, loading.wait_seconds - (same_epoch ? last_wait : 0));
  const int64_t step_images = loading.images - (same_epoch ? last_images : 0);
  last_wait = loading.wait_seconds;
  last_batches = loading.batches;
  last_images = loading.images;
  if (seen++ < options.warmup || static_cast<int64_t>(durations.size()) >= options.steps) return;
  durations.reserve(static_cast<size_t>(options.steps));
  memory.reserve(static_cast<size_t>(options.steps));
  const int64_t time = now(), wait_ns = static_cast<int64_t>(wait * 1e9);
  const int64_t wait_begin = std::max(last_end, time - wait_ns);
  events.push_back({Category::kStep, index_of(kProfileWait), nullptr, wait_begin, time - wait_begin, 0});
  waited += wait_ns;
  images += step_images;
  begin(Category::kStep, concat("step ", seen));
  watching.emplace(this);
}

void ProfileRecorder::end_step() noexcept {
  watching.reset();
  durations.push_back(end());
  memory.push_back({last_end, memory_stats().live_bytes});
}

void ProfileRecorder::begin_phase(const char* name) {
  in_loss = std::string_view(name) == "loss";
  if (std::string_view(name) == "forward") loss_from = std::numeric_limits<uint64_t>::max();
  begin(Category::kPhase, name);
  const size_t index = frames.back().name;
  if (std::find(phase_order.begin(), phase_order.end(), index) == phase_order.end()) phase_order.push_back(index);
}

void ProfileRecorder::module_begins(std::string_view name) {
  begin(Category::kForward, nn::join_path(autograd::current_module_path(), name));
}

void ProfileRecorder::module_ends() noexcept {
  end();
}

void ProfileRecorder::node_recorded(const autograd::Node& node) {
  if (in_loss)
    loss_from = std::min(loss_from, node.sequence);
  else
    costs[index_of(node.module_path)].macs += macs_of(node);
}

void ProfileRecorder::backward_begins(const autograd::Node& node) {
  const bool of_loss = node.module_path.empty() && node.sequence >= loss_from;
  begin(Category::kBackward, of_loss ? kProfileLossBackward : std::string_view(node.module_path), node.name());
  int64_t gradients = 0;
  for (const autograd::Edge& edge : node.edges) gradients += edge.needed() && edge.shape.size() >= 2;
  Cost& cost = costs[frames.back().name];
  cost.gradients = std::max(cost.gradients, gradients);
}

void ProfileRecorder::backward_ends(const autograd::Node&) noexcept {
  end();
}

}  // namespace tern::train
