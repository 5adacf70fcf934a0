// Inference without modules: packed weights in the bytes of a file, and a product with them. Links tern::packed alone.
#include <cstdio>

#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/ops/create.h>
#include <tern/quant/packed/file.h>
#include <tern/quant/packed/product.h>
#include <tern/quant/packed/ternary.h>

using namespace tern;
using namespace tern::packed;

int main() {
  try {
    const Tensor codes = randint(-1, 2, {5, 130}).to(DType::kI8);
    Content content;
    store(content, "fc.weight", pack(codes, 0.5F, pack3_fixed));
    const std::string bytes = io::serialize_safetensors(content.tensors, content.metadata);
    const PackedWeight weight = load(io::parse_safetensors(io::bytes_of(bytes)), "fc.weight");
    const Tensor y = packed_linear(ones({1, 130}), repack(weight, weight.format->execution()));
    for (int row = 0; row < 5; ++row) {
      int sum = 0;
      for (int i = 0; i < 130; ++i) sum += codes.data<int8_t>()[row * 130 + i];
      const float got = y.data<float>()[row], wanted = 0.5F * static_cast<float>(sum);
      if (got > wanted + 1e-4F || got < wanted - 1e-4F) {
        std::fprintf(stderr, "packed: expected %g in row %d, got %g\n", static_cast<double>(wanted), row,
                     static_cast<double>(got));
        return 1;
      }
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
