#include "fuzz/targets.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include <sys/mman.h>
#include <unistd.h>

#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/io/json.h>
#include <tern/core/io/npy.h>
#include <tern/core/io/safetensors.h>
#include <tern/data/cifar.h>
#include <tern/data/decode_image.h>
#include <tern/data/text/byte_pair.h>
#include <tern/data/text/tokenizer.h>
#include <tern/nn/layers/containers.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/models/llama.h>
#include <tern/quant/layers/packed_state.h>
#include <tern/quant/packed/ternary.h>
#include <tern/train/vision/classifier_config.h>
#include <tern/train/weights/checkpoint.h>

#include "data/image_writer.h"

namespace tern::fuzz {
namespace {

using Seeds = std::vector<std::string>;

Tensor counted(const Shape& shape, DType dtype) {
  Tensor x = empty(shape, dtype);
  for (int64_t i = 0; i < x.bytes(); ++i) x.raw()[i] = static_cast<std::byte>(i * 5 + 1);
  return x;
}

void check(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

// -- safetensors: what is read can be written and read again

void run_safetensors(const std::string& bytes) {
  const auto content = io::parse_safetensors(io::bytes_of(bytes));
  const std::string again = io::serialize_safetensors(content.tensors, content.metadata);
  check(io::parse_safetensors(io::bytes_of(again)).metadata == content.metadata, "safetensors do not come back");
}
Seeds seeds_safetensors() {
  return {
      io::serialize_safetensors({}), io::serialize_safetensors({{"a", counted({2, 3}, DType::kF32)}}, {{"k", "v"}}),
      io::serialize_safetensors({{"w", counted({4}, DType::kI8)},
                                 {"v", counted({1, 2}, DType::kF64)},
                                 {"s", counted({}, DType::kBF16)},
                                 {"e", counted({0, 9}, DType::kI64)}}),
      // Element types that tensors lack.
      std::string("\x57\1\0\0\0\0\0\0", 8) +
          R"({"b":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]},"u":{"dtype":"U16","shape":[1],"data_offsets":[2,4]},)"
          R"("f":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[4,7]},"l":{"dtype":"U64","shape":[1],"data_offsets":[7,15]},)"
          R"("c":{"dtype":"U32","shape":[1],"data_offsets":[15,19]},"d":{"dtype":"F8_E8M0","shape":[1],"data_offsets":[19,20]}})"
          "          " +
          std::string("\1\0\xff\xff\x38\x7f\x80\1\0\0\0\0\0\0\0\1\0\0\0\x7f", 20)};
}

void run_npy(const std::string& bytes) {
  const Tensor x = io::parse_npy(io::bytes_of(bytes));
  check(io::parse_npy(io::bytes_of(io::serialize_npy(x))).shape() == x.shape(), "npy does not come back");
}
Seeds seeds_npy() {
  const auto header = [](std::string text, char version, std::string data) {
    const auto n = static_cast<uint32_t>(text.size());
    std::string out = "\x93NUMPY";
    out += {version, '\0'};
    out.append(reinterpret_cast<const char*>(&n), version == 1 ? 2 : 4);
    return out + text + data;
  };
  return {io::serialize_npy(counted({2, 3}, DType::kF32)),
          header("{'descr': '|b1', 'fortran_order': True, 'shape': (2, 1, 2)}", 2, std::string("\1\0\0\1", 4)),
          header("{'shape': (), 'descr': '<f2', 'fortran_order': False,}", 3, "ab")};
}

void run_json(const std::string& bytes) {
  const io::Json v = io::Json::parse("fuzz", "input", bytes);
  check(io::Json::parse("fuzz", "output", v.dump()) == v, "JSON does not come back");
  check(io::Json::parse("fuzz", "output", v.dump(2)) == v, "indented JSON does not come back");
}
Seeds seeds_json() {
  return {R"({"optim": {"lr": 0.1, "steps": [30, 60]}, "name": "caf\u00e9 \ud83d\ude00", "on": true, "off": null})",
          "[1, -2.5e-3, 18446744073709551615, [[[]]], {}, \"\"]", "0"};
}

void run_tokenizer(const std::string& bytes) {
  const auto t = text::Tokenizer::parse(io::bytes_of(bytes));
  const auto ids = t.encode("once upon a time \xc3\xa9\xff");
  for (const int64_t id : ids) check(id >= 0 && id < t.vocab_size(), "a token outside the vocabulary");
  static_cast<void>(t.decode(ids));
}
Seeds seeds_tokenizer() {
  std::string file("\x09\0\0\0", 4);
  const auto add = [&](const std::string& piece, float score) {
    const auto n = static_cast<int32_t>(piece.size());
    file.append(reinterpret_cast<const char*>(&score), 4);
    file.append(reinterpret_cast<const char*>(&n), 4);
    file += piece;
  };
  for (const char* special : {"<unk>", "\n<s>\n", "\n</s>\n"}) add(special, 0);
  for (int b = 0; b < 256; ++b) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", b);
    add(text, 0);
  }
  for (const char* piece : {" ", "o", "n", "c", "e", "on", "ce", "once", " once"}) add(piece, -1);
  return {file};
}

void run_byte_pair(const std::string& bytes) {
  const auto t = text::BytePairTokenizer::from_json(io::Json::parse("fuzz", "input", bytes), "input");
  const std::string text = "once upon a time \xc3\xa9\xff 12  34";
  check(t.decode(t.encode(text)) == text, "a text does not come back");
  check(text::BytePairTokenizer::from_json(t.to_json(), "output").to_json() == t.to_json(), "merges do not come back");
}
Seeds seeds_byte_pair() {
  return {text::BytePairTokenizer::train("once upon a time, once upon a time", 265).to_json().dump(),
          text::BytePairTokenizer().to_json().dump()};
}

// Random changes break the sums of a PNG's chunks, and nothing behind the first one would be looked at: with sums that
// are right again, it is.
std::string with_right_sums(const std::string& png) {
  constexpr size_t kSignature = 8, kAround = 12;  // length, type, sum
  std::string out = png.substr(0, kSignature);
  for (size_t at = kSignature; at + kAround <= png.size();) {
    size_t size = 0;
    for (size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<uint8_t>(png[at + i]);
    size = std::min(size, png.size() - at - kAround);
    out += test::png_chunk(png.substr(at + 4, 4), png.substr(at + 8, size));
    at += size + kAround;
  }
  return out;
}

void run_image(const std::string& bytes) {
  const auto read = [](const std::string& file) {
    const Tensor image = data::decode_image(io::bytes_of(file), "input", {.max_pixels = 1'000'000});
    check(image.numel() <= 3'000'000, "an image beyond the limit");
  };
  if (bytes.starts_with("\x89PNG")) {
    try {
      read(with_right_sums(bytes));
    } catch (const FormatError&) {
    }
  }
  read(bytes);
}
Seeds seeds_image() {
  std::vector<uint8_t> pixels(20 * 12 * 4);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * i / 7);
  Seeds seeds{test::png_of(pixels, 20, 12, 4), test::png_of(pixels, 20, 12, 1), test::bmp_of(pixels, 20, 12, 3),
              test::jpg_of(pixels, 20, 12, 3, 60), test::jpg_of(pixels, 20, 12, 1, 90)};
  for (const char* name :
       {"jpeg/progressive.jpg", "jpeg/arithmetic_progressive.jpg", "jpeg/arithmetic.jpg", "jpeg/restart_blocks.jpg",
        "jpeg/cmyk.jpg", "jpeg/scans_separate.jpg", "jpeg/sampling_1x1_2x2_1x1.jpg", "jpeg/size_1x40_420.jpg",
        "pngsuite/basi3p04.png", "pngsuite/basi0g01.png", "pngsuite/basi6a16.png", "pngsuite/basn4a08.png"}) {
    std::ifstream in(std::string(TERN_SOURCE_DIR "/tests/data/suites/") + name, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  // A palette of 16, and rows in runs, as they are, and with a jump, of 4 and of 8 bits.
  const std::string palette(64, '\x55');
  const auto runs = [&](char bits, const std::string& rows) {
    return "BM" + std::string(8, '\0') + std::string("\x76\0\0\0\x28\0\0\0\x08\0\0\0\3\0\0\0\1\0", 18) + bits + '\0' +
           (bits == 8 ? '\1' : '\2') + std::string(15, '\0') + '\x10' + std::string(7, '\0') + palette + rows;
  };
  seeds.push_back(runs(8, std::string("\3\1\0\3\4\5\6\0\2\2\0\0\1\7\0\2\4\0\2\x0b\0\0\x08\x0c\0\1", 26)));
  seeds.push_back(runs(4, std::string("\5\x12\0\3\x34\x5f\0\0\1\x70\0\2\1\1\5\x98\0\1", 18)));
  return seeds;
}

// CIFAR files are read from a directory; each process has its own.
void run_cifar(const std::string& bytes) {
  const std::filesystem::path dir =
      std::filesystem::temp_directory_path() / ("tern-fuzz-" + std::to_string(::getpid()));
  std::filesystem::create_directory(dir);
  const size_t names = std::min<size_t>(bytes.size(), 64);  // the first bytes are the names, the others records
  std::ofstream(dir / "batches.meta.txt", std::ios::binary) << bytes.substr(0, names);
  std::ofstream(dir / "test_batch.bin", std::ios::binary) << bytes.substr(names);
  struct Cleaner {
    std::filesystem::path path;
    ~Cleaner() { std::filesystem::remove_all(path); }
  } cleaner{dir};
  const data::Cifar10 set(dir.string(), data::Split::kTest);
  for (int64_t i = 0; i < set.size(); ++i) check(set.label(i) >= 0 && set.label(i) < 10, "a label out of range");
}
Seeds seeds_cifar() {
  std::string names = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
  names.resize(64, '\n');
  return {names + std::string(3073, '\3'), names + std::string(2 * 3073, '\0')};
}

// -- readers that take a path: a file in memory

class MemoryFile {
 public:
  explicit MemoryFile(const std::string& bytes) : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t n = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
      if (n <= 0) throw std::logic_error("no room for a file in memory");
      done += static_cast<size_t>(n);
    }
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

void run_llama2c(const std::string& bytes) {
  const MemoryFile file(bytes);
  const auto model = nn::models::Llama::load_llama2c(file.path());
  check(model->parameter_count() * 4 <= static_cast<int64_t>(bytes.size()), "more parameters than the file holds");
}
Seeds seeds_llama2c() {
  // dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size (negative: an output matrix of its own), seq_len
  const auto file = [](int32_t vocabulary) {
    constexpr int32_t dim = 4, hidden = 6, layers = 1, heads = 2, groups = 1, positions = 3;
    const int32_t words = vocabulary < 0 ? -vocabulary : vocabulary, head = dim / heads;
    const int32_t layer = 2 * dim + dim * dim * 2 + dim * groups * head * 2 + 3 * dim * hidden;
    const int32_t floats = words * dim * (vocabulary < 0 ? 2 : 1) + layers * layer + dim + positions * head;
    std::string bytes;
    for (const int32_t number : {dim, hidden, layers, heads, groups, vocabulary, positions})
      bytes.append(reinterpret_cast<const char*>(&number), 4);
    return bytes + std::string(static_cast<size_t>(floats) * 4, '\0');
  };
  return {file(5), file(-5)};
}

void run_config(const std::string& bytes) {
  train::ClassifierConfig config;
  train::Schema schema;
  train::declare(schema, config);
  schema.read_json(bytes, "input");
  train::Schema again;
  train::ClassifierConfig second;
  train::declare(again, second);
  again.read_json(schema.to_json(), "output");
  check(again.to_json() == schema.to_json(), "settings do not come back");
}
Seeds seeds_config() {
  train::ClassifierConfig config;
  train::Schema schema;
  train::declare(schema, config);
  return {schema.to_json(), R"({"optim": {"lr": 0.1}, "codeq.mode": "mixed", "schedule": {"milestones": [3, 5]}})",
          "{}"};
}

void run_checkpoint(const std::string& bytes) {
  const MemoryFile file(bytes);
  const train::Checkpoint read = train::load_checkpoint(file.path());
  check(!read.is_ours() || !read.metadata.contains(train::meta::kFormat) ||
            read.metadata.contains(train::meta::kChecksum),
        "a checkpoint without its checksum");
}
Seeds seeds_checkpoint() {
  train::Checkpoint checkpoint;
  checkpoint.weights.insert("w", counted({2, 3}, DType::kF32));
  checkpoint.state.insert("optimizer.step", counted({}, DType::kI64));
  checkpoint.metadata[train::meta::kConfig] = "{}";
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("tern-seed-" + std::to_string(::getpid()));
  train::save_checkpoint(path.string(), checkpoint);
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  std::filesystem::remove(path);
  return {bytes, io::serialize_safetensors({{"w", counted({2}, DType::kF32)}}, {{"format", "pt"}})};
}

// -- packed weights: what is read can be repacked and stored again, and a model takes it or stays as it was

void run_packed(const std::string& bytes) {
  const packed::Content content = io::parse_safetensors(io::bytes_of(bytes));
  const packed::WeightInfos infos = packed::read_infos(content.metadata);
  for (const auto& [name, info] : infos) {
    const packed::PackedWeight weight = packed::load(content, name);
    const packed::PackedWeight other = packed::repack(weight, packed::pack3_fixed);
    check(packed::unpack(other).to_vector<int8_t>() == packed::unpack(weight).to_vector<int8_t>(),
          "codes do not come back");
    packed::Content again;
    packed::store(again, name, weight, info.settings);
    check(packed::load(again, name).bytes.to_vector<uint8_t>() == weight.bytes.to_vector<uint8_t>(),
          "bytes do not come back");
  }
  nn::Sequential model;
  model.append(nn::make<nn::Linear>({.in_features = 7, .out_features = 3}));
  try {
    quant::load_into(model, content);
  } catch (const Error&) {
    check(model.state_dict().contains("0.weight"), "a refused file changed the model");
    throw;
  }
}
Seeds seeds_packed() {
  Seeds seeds;
  for (const packed::Format* format : packed::formats()) {
    Tensor codes = empty({3, 7}, DType::kI8);
    for (int64_t i = 0; i < codes.numel(); ++i) codes.data<int8_t>()[i] = static_cast<int8_t>(i * i % 3 - 1);
    packed::Content content;
    packed::store(content, "0.weight", packed::pack(codes, 0.25F, *format), {{quant::kSublnEps, 1e-6}});
    content.tensors.insert("0.bias", empty({3}).fill_(0.5));
    content.tensors.insert("0.subln.weight", empty({7}).fill_(1));
    seeds.push_back(io::serialize_safetensors(content.tensors, content.metadata));
  }
  return seeds;
}

constexpr Target kTargets[] = {
    {"safetensors", run_safetensors, seeds_safetensors},
    {"npy", run_npy, seeds_npy},
    {"json", run_json, seeds_json},
    {"tokenizer", run_tokenizer, seeds_tokenizer},
    {"byte_pair", run_byte_pair, seeds_byte_pair},
    {"image", run_image, seeds_image},
    {"cifar", run_cifar, seeds_cifar},
    {"llama2c", run_llama2c, seeds_llama2c},
    {"config", run_config, seeds_config},
    {"checkpoint", run_checkpoint, seeds_checkpoint},
    {"packed", run_packed, seeds_packed},
};

}  // namespace

std::span<const Target> targets() {
  return kTargets;
}

}  // namespace tern::fuzz
