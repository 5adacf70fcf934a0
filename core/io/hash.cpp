#include <algorithm>
#include <bit>
#include <cstring>

#include <tern/core/io/hash.h>

namespace tern::io {
namespace {

// Names and values as in the specification.
constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87, kPrime2 = 0xC2B2AE3D27D4EB4F, kPrime3 = 0x165667B19E3779F9,
                   kPrime4 = 0x85EBCA77C2B2AE63, kPrime5 = 0x27D4EB2F165667C5;

static_assert(std::endian::native == std::endian::little, "files and hashes are little-endian");

template <class T>
uint64_t number_at(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

uint64_t round_of(uint64_t lane, uint64_t input) {
  return std::rotl(lane + input * kPrime2, 31) * kPrime1;
}

uint64_t merged(uint64_t hash, uint64_t lane) {
  return (hash ^ round_of(0, lane)) * kPrime1 + kPrime4;
}

}  // namespace

Hash64::Hash64(uint64_t seed) : seed_(seed), lanes_{seed + kPrime1 + kPrime2, seed + kPrime2, seed, seed - kPrime1} {}

void Hash64::consume(const std::byte* stripe) {
  for (size_t i = 0; i < lanes_.size(); ++i) lanes_[i] = round_of(lanes_[i], number_at<uint64_t>(stripe + 8 * i));
}

void Hash64::add(const void* data, size_t bytes) {
  const auto* next = static_cast<const std::byte*>(data);
  total_ += bytes;
  if (buffered_ > 0) {
    const size_t part = std::min(bytes, buffer_.size() - buffered_);
    std::copy_n(next, part, buffer_.data() + buffered_);
    buffered_ += part;
    next += part;
    bytes -= part;
    if (buffered_ < buffer_.size()) return;
    consume(buffer_.data());
    buffered_ = 0;
  }
  for (; bytes >= buffer_.size(); next += buffer_.size(), bytes -= buffer_.size()) consume(next);
  std::copy_n(next, bytes, buffer_.data());
  buffered_ = bytes;
}

void Hash64::add_number(uint64_t number) {
  add(&number, sizeof number);
}

void Hash64::add_sized(std::string_view text) {
  add_number(text.size());
  add(text);
}

uint64_t Hash64::value() const {
  uint64_t hash = seed_ + kPrime5;
  if (total_ >= buffer_.size()) {
    hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) + std::rotl(lanes_[3], 18);
    for (const uint64_t lane : lanes_) hash = merged(hash, lane);
  }
  hash += total_;
  size_t at = 0;
  for (; at + 8 <= buffered_; at += 8)
    hash = std::rotl(hash ^ round_of(0, number_at<uint64_t>(buffer_.data() + at)), 27) * kPrime1 + kPrime4;
  for (; at + 4 <= buffered_; at += 4)
    hash = std::rotl(hash ^ (number_at<uint32_t>(buffer_.data() + at) * kPrime1), 23) * kPrime2 + kPrime3;
  for (; at < buffered_; ++at)
    hash = std::rotl(hash ^ (number_at<uint8_t>(buffer_.data() + at) * kPrime5), 11) * kPrime1;
  hash = (hash ^ (hash >> 33)) * kPrime2;
  hash = (hash ^ (hash >> 29)) * kPrime3;
  return hash ^ (hash >> 32);
}

uint64_t hash64(std::string_view bytes, uint64_t seed) {
  Hash64 hash(seed);
  hash.add(bytes);
  return hash.value();
}

std::string hex(uint64_t value) {
  std::string text(16, '0');
  for (size_t i = text.size(); i-- > 0; value >>= 4) text[i] = "0123456789abcdef"[value & 15];
  return text;
}

}  // namespace tern::io
