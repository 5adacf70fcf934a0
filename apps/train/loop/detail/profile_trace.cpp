#include <algorithm>

#include <tern/core/io/json.h>
#include <tern/core/text.h>
#include <tern/train/loop/detail/profile_trace.h>

namespace tern::train {
namespace {

// by ProfileRecorder::Category
constexpr const char* kCategoryNames[] = {"step", "phase", "forward", "backward", "run"};

// Nanoseconds as microseconds, without loss.
std::string microseconds(int64_t ns) {
  return format_text("%lld.%03lld", static_cast<long long>(ns / 1000), static_cast<long long>(ns % 1000));
}

std::string json_text(std::string_view text) {
  return io::Json(text).dump();
}

}  // namespace

std::string profile_trace(const ProfileRecorder& recorder) {
  std::string out =
      "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n"
      "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"tid\":1,\"args\":{\"name\":\"tern\"}},\n"
      "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":1,\"args\":{\"name\":\"training\"}}";
  std::vector<std::string> texts;
  for (const std::string& name : recorder.names) texts.push_back(json_text(name.empty() ? kProfileModel : name));
  std::vector<const ProfileRecorder::Event*> order;
  for (const ProfileRecorder::Event& event : recorder.events) order.push_back(&event);
  std::stable_sort(order.begin(), order.end(), [](const ProfileRecorder::Event* a, const ProfileRecorder::Event* b) {
    return a->begin != b->begin ? a->begin < b->begin : a->duration > b->duration;
  });
  for (const ProfileRecorder::Event* event : order) {
    const bool computes = event->category == ProfileRecorder::Category::kForward ||
                          event->category == ProfileRecorder::Category::kBackward;
    out +=
        concat(",\n{\"name\":", texts[event->name], ",\"cat\":\"", kCategoryNames[static_cast<size_t>(event->category)],
               "\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":", microseconds(event->begin),
               ",\"dur\":", microseconds(event->duration), ",\"args\":{",
               event->op != nullptr ? concat("\"op\":", json_text(event->op), ",") : std::string(),
               computes ? concat("\"bytes\":", event->bytes) : std::string(), "}}");
  }
  for (const ProfileRecorder::MemorySample& sample : recorder.memory)
    out += concat(",\n{\"name\":\"tensors\",\"ph\":\"C\",\"pid\":1,\"tid\":1,\"ts\":", microseconds(sample.time),
                  ",\"args\":{\"bytes\":", sample.bytes, "}}");
  return out + concat("\n],\"otherData\":{\"steps\":", recorder.durations.size(),
                      ",\"dropped_events\":", recorder.dropped, "}}\n");
}

}  // namespace tern::train
