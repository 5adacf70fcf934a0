#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/quant/method.h>
#include <tern/train/insight/histogram.h>
#include <tern/train/insight/tensorboard.h>

namespace tern::train {
namespace {

constexpr const char* kFilePrefix = "events.out.tfevents";

constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
    table[byte] = crc;
  }
  return table;
}

uint32_t masked_crc(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

template <class T>
void append_bytes(std::string& out, T v) {  // little-endian, as the machine is (io/bytes.h)
  char bytes[sizeof(T)];
  std::memcpy(bytes, &v, sizeof(T));
  out.append(bytes, sizeof(T));
}

// Protocol-buffer wire format: a key (field number and wire type), then the value.
enum Wire : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void append_varint(std::string& out, uint64_t v) {
  for (; v >= 0x80; v >>= 7) out += static_cast<char>(v | 0x80);
  out += static_cast<char>(v);
}
void append_key(std::string& out, uint64_t field, Wire wire) {
  append_varint(out, field << 3 | wire);
}
void put_double(std::string& out, uint64_t field, double v) {
  append_key(out, field, kFixed64);
  append_bytes(out, v);
}
void put_integer(std::string& out, uint64_t field, int64_t v) {
  append_key(out, field, kVarint);
  append_varint(out, static_cast<uint64_t>(v));
}
void put_text(std::string& out, uint64_t field, std::string_view text) {
  append_key(out, field, kBytes);
  append_varint(out, text.size());
  out += text;
}
void put_doubles(std::string& out, uint64_t field, const std::vector<double>& values) {
  std::string packed;
  for (const double v : values) append_bytes(packed, v);
  put_text(out, field, packed);
}

namespace event {
constexpr uint64_t kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
}
namespace summary {
constexpr uint64_t kValue = 1, kTag = 1, kSimpleValue = 2, kHistogram = 5;
}
namespace histogram_field {
constexpr uint64_t kMin = 1, kMax = 2, kNum = 3, kSum = 4, kSumOfSquares = 5, kLimits = 6, kCounts = 7;
}
namespace session_log {
constexpr uint64_t kStatus = 1;
constexpr int64_t kStart = 1;
}  // namespace session_log

// Event.summary with one Value: the tag, and what `fill` adds.
template <class Fill>
std::string summary_of(std::string_view tag, const Fill& fill) {
  std::string value, values, out;
  put_text(value, summary::kTag, tag);
  fill(value);
  put_text(values, summary::kValue, value);
  put_text(out, event::kSummary, values);
  return out;
}

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> kTable = crc_table();
  uint32_t crc = ~0u;
  for (const char c : bytes) crc = kTable[(crc ^ static_cast<unsigned char>(c)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

EventWriter::EventWriter(const io::DirectoryHandle& directory, int64_t resumed_step) {
  const std::string first = concat(kFilePrefix, ".", static_cast<int64_t>(now_seconds()), ".tern");
  std::string name = first;
  for (int attempt = 1; directory->has(name); ++attempt) name = concat(first, ".", attempt);
  file_ = std::make_unique<io::AppendFile>("tensorboard", directory->file(name), io::AppendFile::Open::kExclusive);
  std::string version;
  put_text(version, event::kFileVersion, "brain.Event:2");
  write(version, 0);
  if (resumed_step == 0) return;
  std::string start, log;
  put_integer(log, session_log::kStatus, session_log::kStart);
  put_text(start, event::kSessionLog, log);
  write(start, resumed_step + 1);
}

EventWriter::EventWriter(const std::string& directory, int64_t resumed_step)
    : EventWriter(io::Directory::open("tensorboard", directory), resumed_step) {}

void EventWriter::write(std::string_view event_body, int64_t step) {
  std::string message;
  put_double(message, event::kWallTime, now_seconds());
  put_integer(message, event::kStep, step);
  message += event_body;
  std::string record;
  append_bytes(record, uint64_t{message.size()});
  append_bytes(record, masked_crc(record));
  record += message;
  append_bytes(record, masked_crc(message));
  file_->write(record);
}

void EventWriter::scalar(std::string_view tag, double value, int64_t step) {
  write(summary_of(tag,
                   [&](std::string& out) {
                     append_key(out, summary::kSimpleValue, kFixed32);
                     append_bytes(out, static_cast<float>(value));
                   }),
        step);
}

void EventWriter::row(const MetricRow& row) {
  const double step = number_of(row, "step", -1);
  TERN_CHECK(step >= 0, ValueError, "[tensorboard] expected a row with a step, got one without");
  for (const Metric& metric : row)
    if (metric.name != "step" && !std::holds_alternative<std::string>(metric.value))
      scalar(metric.name, number_of(row, metric.name, 0), static_cast<int64_t>(step));
}

void EventWriter::histogram(std::string_view tag, const Tensor& values, int64_t step) {
  constexpr size_t kBins = 64;
  std::vector<double> finite = values.detach().to_vector<double>();
  std::erase_if(finite, [](double v) { return !std::isfinite(v); });
  if (finite.empty()) return;
  const auto [least, greatest] = std::minmax_element(finite.begin(), finite.end());
  const double min = *least, max = *greatest;
  double sum = 0, squares = 0;
  const size_t bins = max > min ? kBins : 1;
  std::vector<double> counts(bins), limits(bins, max);
  for (const double v : finite) {
    sum += v;
    squares += v * v;
    ++counts[bin_of(v, min, max, bins)];
  }
  for (size_t i = 0; i + 1 < bins; ++i) {
    const double share = static_cast<double>(i + 1) / static_cast<double>(bins);
    limits[i] = min * (1 - share) + max * share;
  }
  std::string histogram;
  put_double(histogram, histogram_field::kMin, min);
  put_double(histogram, histogram_field::kMax, max);
  put_double(histogram, histogram_field::kNum, static_cast<double>(finite.size()));
  put_double(histogram, histogram_field::kSum, sum);
  put_double(histogram, histogram_field::kSumOfSquares, squares);
  put_doubles(histogram, histogram_field::kLimits, limits);
  put_doubles(histogram, histogram_field::kCounts, counts);
  write(summary_of(tag, [&](std::string& out) { put_text(out, summary::kHistogram, histogram); }), step);
}

void write_layers(EventWriter& events, const nn::Module& model, int64_t step) {
  const NoGradGuard no_grad;
  for (const quant::LayerState& layer : quant::layer_table(model).layers) {
    events.histogram(concat("weights/", layer.name), quant::effective_weight(model, layer), step);
    if (!layer.quantized()) continue;
    if (!layer.parameter.empty())
      events.histogram(concat("latent/", layer.name), model.get_parameter(layer.parameter).latent(), step);
    events.scalar(concat("bits/", layer.name), layer.bits, step);
    events.scalar(concat("sparsity/", layer.name), 1 - layer.density(), step);
    for (const quant::LayerFigure& figure : layer.figures) {
      if (!figure.heading.empty()) events.scalar(concat(figure.column(), "/", layer.name), figure.value, step);
    }
  }
}

void remove_event_files(const io::DirectoryHandle& directory) {
  for (const std::string& name : directory->names())
    if (name.starts_with(kFilePrefix)) directory->remove(name);
}

}  // namespace tern::train
