#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>

#include <gtest/gtest.h>

#include <tern/core/io/bytes.h>
#include <tern/core/io/file.h>
#include <tern/core/ops/create.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/linear.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/train/insight/tensorboard.h>

#include "message_of.h"
#include "temporary_directory.h"

namespace tern::train {
namespace {

using tern::testing::TemporaryDirectory;
using test::message_of;

TEST(Crc32c, KnownVectors) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string rising, falling;
  for (int i = 0; i < 32; ++i) rising += static_cast<char>(i), falling += static_cast<char>(31 - i);
  EXPECT_EQ(crc32c(rising), 0x46dd794eu);
  EXPECT_EQ(crc32c(falling), 0x113fdb5cu);
}

// A message of protocol buffers, field by field: varints and fixed numbers as bits, the rest as bytes.
struct Message {
  std::multimap<uint64_t, uint64_t> numbers;
  std::multimap<uint64_t, std::string> texts;

  explicit Message(std::string_view bytes) {
    io::ByteReader reader("test", "message", io::bytes_of(bytes));
    const auto varint = [&] {
      uint64_t v = 0;
      for (int shift = 0;; shift += 7) {
        const auto byte = reader.read<uint8_t>("varint");
        v |= uint64_t{byte & 0x7fu} << shift;
        if (byte < 0x80) return v;
      }
    };
    while (!reader.at_end()) {
      const uint64_t key = varint(), field = key >> 3;
      switch (key & 7) {
        case 0:
          numbers.emplace(field, varint());
          break;
        case 1:
          numbers.emplace(field, reader.read<uint64_t>("fixed64"));
          break;
        case 2:
          texts.emplace(field, reader.take_text(varint(), "bytes"));
          break;
        case 5:
          numbers.emplace(field, reader.read<uint32_t>("fixed32"));
          break;
        default:
          throw FormatError(concat("wire type ", key & 7));
      }
    }
  }
  double real(uint64_t field) const { return std::bit_cast<double>(numbers.find(field)->second); }
  std::vector<double> reals(uint64_t field) const {
    const std::string& packed = texts.find(field)->second;
    std::vector<double> out(packed.size() / 8);
    std::memcpy(out.data(), packed.data(), packed.size());
    return out;
  }
};

struct Scalar {
  std::string tag;
  int64_t step;
  float value;
  bool operator==(const Scalar&) const = default;
};

struct Decoded {
  std::string version;
  std::vector<Scalar> scalars;
  std::map<std::string, Message> histograms;          // by tag
  std::vector<std::pair<int64_t, int64_t>> sessions;  // status, step

  explicit Decoded(const std::string& path) {
    const std::string bytes = io::read_file("test", path);
    io::ByteReader reader("test", path, io::bytes_of(bytes));
    const auto check = [&](std::string_view content) {
      const uint32_t crc = crc32c(content), masked = ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
      EXPECT_EQ(reader.read<uint32_t>("crc"), masked);
    };
    while (!reader.at_end()) {
      const std::string_view length = reader.take_text(8, "length");
      check(length);
      uint64_t size;
      std::memcpy(&size, length.data(), 8);
      const std::string_view content = reader.take_text(size, "event");
      check(content);
      const Message event(content);
      EXPECT_GT(event.real(1), 1.5e9) << "wall time in seconds";
      const auto step = static_cast<int64_t>(event.numbers.find(2)->second);
      if (event.texts.contains(3)) version = event.texts.find(3)->second;
      if (event.texts.contains(7))
        sessions.emplace_back(Message(event.texts.find(7)->second).numbers.find(1)->second, step);
      if (!event.texts.contains(5)) continue;
      const Message value(Message(event.texts.find(5)->second).texts.find(1)->second);
      const std::string tag = value.texts.find(1)->second;
      if (value.numbers.contains(2))
        scalars.push_back({tag, step, std::bit_cast<float>(static_cast<uint32_t>(value.numbers.find(2)->second))});
      if (value.texts.contains(5)) histograms.emplace(tag, Message(value.texts.find(5)->second));
    }
  }
};

TEST(EventWriter, RowsCanBeReadBackWhileTheFileIsOpen) {
  TemporaryDirectory directory;
  EventWriter events(directory.path());
  EXPECT_NE(events.path().find("/events.out.tfevents."), std::string::npos);
  EXPECT_EQ(Decoded(events.path()).version, "brain.Event:2");
  events.row({{"epoch", int64_t{1}}, {"step", int64_t{300}}, {"loss", 0.625}, {"note", std::string("x")}});
  events.scalar("\xce\xb1/" + std::string(200, 'n'), std::numeric_limits<double>::quiet_NaN(), int64_t{1} << 40);
  const Decoded decoded(events.path());
  ASSERT_EQ(decoded.scalars.size(), 3u);
  EXPECT_EQ(decoded.scalars[0], (Scalar{"epoch", 300, 1}));
  EXPECT_EQ(decoded.scalars[1], (Scalar{"loss", 300, 0.625}));
  EXPECT_EQ(decoded.scalars[2].tag, "\xce\xb1/" + std::string(200, 'n'));
  EXPECT_EQ(decoded.scalars[2].step, int64_t{1} << 40);
  EXPECT_TRUE(std::isnan(decoded.scalars[2].value));
  EXPECT_TRUE(decoded.sessions.empty());
  EXPECT_EQ(message_of<ValueError>([&] {
              events.row({{"loss", 1.0}});
            }),
            "[tensorboard] expected a row with a step, got one without");
}

TEST(EventWriter, AResumedRunDropsWhatCameLater) {
  TemporaryDirectory directory;
  const EventWriter first(directory.path()), second(directory.path(), 40);
  EXPECT_NE(first.path(), second.path());
  EXPECT_EQ(Decoded(second.path()).sessions, (std::vector<std::pair<int64_t, int64_t>>{{1, 41}}));
  remove_event_files(io::Directory::open("test", directory.path()));
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(EventWriter, Histograms) {
  TemporaryDirectory directory;
  EventWriter events(directory.path());
  const double infinity = std::numeric_limits<double>::infinity();
  events.histogram("h", tensor({-1.0, 0.0, 0.0, 3.0, infinity}), 7);
  events.histogram("same", tensor({2.0f, 2.0f}), 7);
  events.histogram("wide", tensor(std::vector<double>{-1.7e308, 1.7e308}), 7);
  events.histogram("none", tensor({infinity}), 7);
  const Decoded decoded(events.path());
  EXPECT_EQ(decoded.histograms.size(), 3u);
  const Message& h = decoded.histograms.at("h");
  EXPECT_EQ(h.real(1), -1);
  EXPECT_EQ(h.real(2), 3);
  EXPECT_EQ(h.real(3), 4);
  EXPECT_EQ(h.real(4), 2);
  EXPECT_EQ(h.real(5), 10);
  const std::vector<double> limits = h.reals(6), counts = h.reals(7);
  ASSERT_EQ(limits.size(), 64u);
  ASSERT_EQ(counts.size(), 64u);
  EXPECT_DOUBLE_EQ(limits[0], -1 + 4.0 / 64);
  EXPECT_EQ(limits[63], 3);
  EXPECT_EQ(counts[0], 1);
  EXPECT_EQ(counts[16], 2) << "0 is where the seventeenth bin begins";
  EXPECT_EQ(counts[63], 1);
  for (size_t i = 1; i < limits.size(); ++i) EXPECT_LT(limits[i - 1], limits[i]);
  EXPECT_EQ(decoded.histograms.at("same").reals(6), std::vector<double>{2});
  EXPECT_EQ(decoded.histograms.at("same").reals(7), std::vector<double>{2});
  const std::vector<double> wide = decoded.histograms.at("wide").reals(7);
  EXPECT_EQ(wide.front(), 1);
  EXPECT_EQ(wide.back(), 1);
}

TEST(EventWriter, LayersOfAModelWithQuantizers) {
  struct Net : nn::Module {
    nn::Child<nn::Linear> a{this, "a", {.in_features = 6, .out_features = 5}};
    nn::Child<nn::Linear> b{this, "b", {.in_features = 5, .out_features = 2}};
  };
  TemporaryDirectory directory;
  manual_seed(4);
  Net net;
  quant::codeq::attach(net, {.exclude = {"b"}, .bits = quant::codeq::Fixed{.bits = 3}});
  EventWriter events(directory.path());
  write_layers(events, net, 9);
  const Decoded decoded(events.path());
  ASSERT_EQ(decoded.scalars.size(), 3u);
  EXPECT_EQ(decoded.scalars[0], (Scalar{"bits/a", 9, 3}));
  EXPECT_EQ(decoded.scalars[1].tag, "sparsity/a");
  const auto states = quant::codeq::layer_states(net);
  EXPECT_EQ(decoded.scalars[1].value, static_cast<float>(1 - states.at(0).density()));
  EXPECT_EQ(decoded.scalars[2].tag, "dead_zone/a");
  EXPECT_GT(decoded.scalars[2].value, 0);
  EXPECT_EQ(decoded.histograms.size(), 3u);
  EXPECT_EQ(decoded.histograms.at("latent/a").real(3), 30);
  EXPECT_LE(decoded.histograms.at("weights/a").real(2), decoded.histograms.at("latent/a").real(2));
  EXPECT_EQ(decoded.histograms.at("weights/b").real(3), 10);
}

TEST(EventWriter, SaysWhereItCannotWrite) {
  TemporaryDirectory directory;
  const std::string text = message_of<IoError>([&] { EventWriter(directory / "none"); });
  EXPECT_EQ(text, "[tensorboard] cannot open the directory '" + (directory / "none") + "': No such file or directory");
}

}  // namespace
}  // namespace tern::train
