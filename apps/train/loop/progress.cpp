#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

#include <tern/core/error.h>
#include <tern/core/text.h>
#include <tern/train/loop/progress.h>

namespace tern::train {
namespace {

size_t terminal_columns() {
  winsize size = {};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string extra_text(const Metric& metric) {
  if (const auto* real = std::get_if<double>(&metric.value)) return format_text(" %s %.4g", metric.name.c_str(), *real);
  if (const auto* whole = std::get_if<int64_t>(&metric.value))
    return format_text(" %s %lld", metric.name.c_str(), static_cast<long long>(*whole));
  return concat(" ", metric.name, " ", std::get<std::string>(metric.value));
}

}  // namespace

bool stdout_is_terminal() {
  const char* term = std::getenv("TERM");
  return isatty(STDOUT_FILENO) == 1 && term != nullptr && std::string_view(term) != "dumb";
}

std::string clock_text(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) return "?";
  const auto total = static_cast<long long>(std::llround(seconds));
  if (total >= 3600) return format_text("%lld:%02lld:%02lld", total / 3600, total / 60 % 60, total % 60);
  return format_text("%lld:%02lld", total / 60, total % 60);
}

std::string progress_text(const ProgressState& s) {
  std::string text;
  if (s.epochs > 0)
    text = format_text("epoch %lld/%lld ", static_cast<long long>(s.epoch + 1), static_cast<long long>(s.epochs));
  text += format_text("step %lld/%lld ", static_cast<long long>(s.step), static_cast<long long>(s.steps));
  text += s.figures;
  text += format_text(" lr %.4g %.0f %s/s wait %.1f%% eta %s", s.lr, s.rate, s.unit.c_str(), 100 * s.data_wait,
                      clock_text(s.eta_s).c_str());
  for (const Metric& metric : s.extra) text += extra_text(metric);
  return text;
}

bool Progress::due() const {
  const double between = options_.seconds_between > 0 ? options_.seconds_between : options_.terminal ? 0.2 : 10;
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - last_).count() >= between;
}

void Progress::update(const ProgressState& state) {
  last_ = std::chrono::steady_clock::now();
  std::string text = progress_text(state);
  if (!options_.terminal) {
    out_ << text << '\n' << std::flush;
    return;
  }
  const size_t columns = terminal_columns();
  constexpr int64_t kCells = 20;
  if (text.size() + kCells + 4 < columns) {
    const int64_t full = state.steps > 0 ? std::clamp<int64_t>(state.step * kCells / state.steps, 0, kCells) : 0;
    text = concat("[", std::string(static_cast<size_t>(full), '='),
                  std::string(static_cast<size_t>(kCells - full), ' '), "] ", text);
  }
  if (text.size() >= columns) text.resize(columns - 1);
  const size_t width = text.size();
  if (width < bar_width_) text.append(bar_width_ - width, ' ');
  bar_width_ = width;
  out_ << '\r' << text << std::flush;
}

void Progress::line(const std::string& text) {
  if (bar_width_ > 0) out_ << '\r' << std::string(bar_width_, ' ') << '\r';
  bar_width_ = 0;
  out_ << text << '\n' << std::flush;
}

}  // namespace tern::train
