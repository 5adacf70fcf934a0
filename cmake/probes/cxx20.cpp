// What Tern needs of a compiler and of its standard library.
#include <atomic>
#include <bit>
#include <concepts>
#include <numbers>
#include <semaphore>
#include <span>
#include <string_view>
#include <thread>

#if __cplusplus < 202002L
#error "C++20 is not there"
#endif

enum class Kind { kOne, kTwo };
struct Options {
  int first = 0;
  Kind second = Kind::kOne;
};
template <std::integral T>
constexpr T twice(T v) {
  return 2 * v;
}

int main() {
  using enum Kind;
  const Options options{.first = 1, .second = kTwo};
  std::atomic<int> word{twice(options.first)};
  std::counting_semaphore<> semaphore{1};
  semaphore.acquire();
  std::thread([&] { word.notify_one(); }).join();
  const int values[] = {3, 1, 2};
  const auto function = [&]<class T>(std::span<const T> numbers) { return numbers.front(); };
  return function(std::span<const int>(values)) == 3 && std::bit_floor(5U) == 4 && std::numbers::pi > 3 &&
                 std::string_view("tern").starts_with("te")
             ? 0
             : word.load();
}
