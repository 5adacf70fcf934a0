#include <bit>

#include <tern/core/error.h>
#include <tern/core/io/hash.h>
#include <tern/core/random.h>
#include <tern/data/synthetic.h>

namespace tern::data {
namespace {

constexpr int64_t kCells = 4;

}  // namespace

Synthetic::Synthetic(const SyntheticOptions& options) : options_(options) {
  TERN_CHECK(options.size >= 0, ValueError, "[synthetic] expected a size of at least 0, got ", options.size);
  TERN_CHECK(options.classes >= 1 && options.channels >= 1 && options.height >= 1 && options.width >= 1, ValueError,
             "[synthetic] expected classes, channels, height and width of at least 1, got ", options.classes, ", ",
             options.channels, ", ", options.height, ", ", options.width);
  TERN_CHECK(options.noise >= 0 && options.noise <= 1, ValueError, "[synthetic] expected noise in [0, 1], got ",
             options.noise);
  for (int64_t c = 0; c < options.classes; ++c) names_.push_back(std::to_string(c));
  Generator random = Generator(options.seed).fork("data.synthetic.patterns");
  patterns_.resize(static_cast<size_t>(options.classes * options.channels * kCells * kCells));
  for (uint8_t& v : patterns_) v = static_cast<uint8_t>(random.next_u32() >> 24);
}

int64_t Synthetic::label(int64_t index) const {
  check_index("synthetic", index);
  return index % options_.classes;
}

uint64_t Synthetic::fingerprint() const {
  const auto& [size, classes, channels, height, width, noise, seed] = options_;
  io::Hash64 hash;
  for (const int64_t number : {size, classes, channels, height, width}) hash.add_number(static_cast<uint64_t>(number));
  hash.add_number(std::bit_cast<uint64_t>(noise));
  hash.add_number(seed);
  return hash.value();
}

Example Synthetic::get(int64_t index) const {
  const int64_t c = label(index);
  const auto& [size, classes, channels, height, width, noise, seed] = options_;
  Generator random = Generator(seed).fork("data.synthetic.image", static_cast<uint64_t>(index));
  Tensor image = empty({channels, height, width}, DType::kU8);
  uint8_t* out = image.data<uint8_t>();
  const uint8_t* pattern = patterns_.data() + c * channels * kCells * kCells;
  std::array<uint32_t, 4> block{};
  int64_t used = 16;  // bytes of the block
  for (int64_t k = 0; k < channels; ++k)
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x) {
        if (used == 16) {
          block = random.block_at(0);
          random.advance(1);
          used = 0;
        }
        const auto own = static_cast<double>((block[static_cast<size_t>(used / 4)] >> (used % 4 * 8)) & 255);
        ++used;
        const auto cell =
            static_cast<double>(pattern[(k * kCells + y * kCells / height) * kCells + x * kCells / width]);
        *out++ = static_cast<uint8_t>(cell + noise * (own - cell));
      }
  return {image, c};
}

}  // namespace tern::data
