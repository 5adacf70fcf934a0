// Times convolution and batch norm through their public functions: milliseconds of processor time of one thread, the
// best of several repetitions (a busy machine disturbs it least), with GFLOP/s or GB/s.
//
//   conv_bench [repetitions]
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include <time.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/conv_method.h>
#include <tern/core/cpu.h>
#include <tern/core/ops/batch_norm.h>
#include <tern/core/ops/conv.h>
#include <tern/core/ops/pool.h>
#include <tern/core/parallel.h>
#include <tern/core/random.h>

namespace {

using namespace tern;

int repetitions = 15;

double thread_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double best_ms(const std::function<void()>& body) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < repetitions + 2; ++i) {
    const double start = thread_seconds();
    body();
    const double seconds = thread_seconds() - start;
    if (i >= 2 && seconds < best) best = seconds;
  }
  return 1e3 * best;
}

Tensor random(const Shape& shape, MemoryFormat format = MemoryFormat::kContiguous) {
  static Generator generator(1);
  Tensor x = empty(shape, DType::kF32, format);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = static_cast<float>(generator.uniform(-1, 1));
  return x;
}

void bench_conv(const char* name, const Shape& x_shape, const Shape& w_shape, const Conv2dOptions& o) {
  const Tensor x = random(x_shape, MemoryFormat::kChannelsLast), w = random(w_shape);
  const Tensor y = conv2d(x, w, {}, o);
  const Tensor g = random(y.shape(), MemoryFormat::kChannelsLast);
  const double gflop = 2e-9 * static_cast<double>(y.numel()) * static_cast<double>(w.numel() / w_shape[0]);
  const double forward = best_ms([&] { (void)conv2d(x, w, {}, o); });
  Tensor leaf_x = x.detach(), leaf_w = w.detach();
  leaf_x.requires_grad_();
  leaf_w.requires_grad_();
  const auto backward = [&](const std::vector<Tensor>& wanted) {
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < repetitions + 2; ++i) {
      const Tensor out = wanted.size() == 2          ? conv2d(leaf_x, leaf_w, {}, o)
                         : wanted[0].is_same(leaf_x) ? conv2d(leaf_x, w, {}, o)
                                                     : conv2d(x, leaf_w, {}, o);
      const std::vector<Tensor> outs{out}, grads{g};
      const double start = thread_seconds();
      (void)autograd::grad(outs, wanted, grads);
      const double seconds = thread_seconds() - start;
      if (i >= 2 && seconds < best) best = seconds;
    }
    return 1e3 * best;
  };
  const double gx = backward({leaf_x}), gw = backward({leaf_w});
  std::printf("%-22s forward %8.3f ms %6.1f | grad x %8.3f ms %6.1f | grad w %8.3f ms %6.1f GFLOP/s\n", name, forward,
              1e3 * gflop / forward, gx, 1e3 * gflop / gx, gw, 1e3 * gflop / gw);
  std::fflush(stdout);
}

// The kernels between which convolutions of 3 x 3 choose.
void bench_methods(const char* name, const Shape& x_shape, const Shape& w_shape) {
  const ConvMethod before = conv_method();
  const std::pair<const char*, ConvMethod> methods[] = {
      {" direct", ConvMethod::kDirect}, {" F(2,3)", ConvMethod::kWinograd2}, {" F(4,3)", ConvMethod::kWinograd4}};
  for (const auto& [suffix, method] : methods) {
    set_conv_method(method);
    bench_conv((name + std::string(suffix)).c_str(), x_shape, w_shape, {.padding = 1});
  }
  set_conv_method(before);
}

void bench_bn(const char* name, const Shape& shape, bool residual) {
  const Tensor x = random(shape, MemoryFormat::kChannelsLast), r = random(shape, MemoryFormat::kChannelsLast);
  const Tensor g = random(shape, MemoryFormat::kChannelsLast);
  const int64_t c = shape[1];
  const Tensor mean = random({c}), var = random({c}).fill_(1);
  Tensor weight = random({c}), bias = random({c}), leaf_x = x.detach(), leaf_r = r.detach();
  for (Tensor* t : {&weight, &bias, &leaf_x, &leaf_r}) t->requires_grad_();
  const auto run = [&] {
    return bn_act(leaf_x, mean, var, weight, bias, residual ? leaf_r : Tensor(), {.training = true});
  };
  const double forward = best_ms([&] { (void)run(); });
  double best = std::numeric_limits<double>::infinity();
  std::vector<Tensor> wanted{leaf_x, weight, bias};
  if (residual) wanted.push_back(leaf_r);
  for (int i = 0; i < repetitions + 2; ++i) {
    const std::vector<Tensor> outs{run()}, grads{g};
    const double start = thread_seconds();
    (void)autograd::grad(outs, wanted, grads);
    const double seconds = thread_seconds() - start;
    if (i >= 2 && seconds < best) best = seconds;
  }
  best *= 1e3;
  // Least traffic: forward reads x twice (and the residual) and writes y; backward reads x and the gradient twice and
  // writes the gradient of x (with a residual it reads y as well, writes the masked gradient and reads that instead).
  const double gb = 1e-9 * static_cast<double>(x.bytes());
  std::printf("%-22s forward %8.3f ms %6.1f GB/s | backward %8.3f ms %6.1f GB/s\n", name, forward,
              1e3 * gb * (residual ? 4 : 3) / forward, best, 1e3 * gb * (residual ? 7 : 5) / best);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) repetitions = std::atoi(argv[1]);
  if (repetitions < 1) {
    std::fprintf(stderr, "conv_bench: expected a number of repetitions of at least 1\n");
    return 2;
  }
  set_num_threads(1);
  std::printf("%s, %s\n", cpu_name().c_str(), std::string(name_of(isa())).c_str());
  bench_conv("stem 3-16 at 32", {128, 3, 32, 32}, {16, 3, 3, 3}, {.padding = 1});
  bench_methods("c16 at 32", {128, 16, 32, 32}, {16, 16, 3, 3});
  bench_conv("c16-32 stride 2", {128, 16, 32, 32}, {32, 16, 3, 3}, {.stride = 2, .padding = 1});
  bench_methods("c32 at 16", {128, 32, 16, 16}, {32, 32, 3, 3});
  bench_conv("c32-64 stride 2", {128, 32, 16, 16}, {64, 32, 3, 3}, {.stride = 2, .padding = 1});
  bench_methods("c64 at 8", {128, 64, 8, 8}, {64, 64, 3, 3});
  bench_conv("patch 4, 3-192", {64, 3, 32, 32}, {192, 3, 4, 4}, {.stride = 4});
  bench_conv("patch 16, 3-192", {4, 3, 224, 224}, {192, 3, 16, 16}, {.stride = 16});
  bench_conv("7x7 stride 2 at 224", {2, 3, 224, 224}, {64, 3, 7, 7}, {.stride = 2, .padding = 3});
  bench_methods("c64 at 56", {2, 64, 56, 56}, {64, 64, 3, 3});
  bench_methods("c128 at 28", {4, 128, 28, 28}, {128, 128, 3, 3});
  bench_methods("c512 at 7", {8, 512, 7, 7}, {512, 512, 3, 3});
  bench_conv("1x1 64-256 at 56", {2, 64, 56, 56}, {256, 64, 1, 1}, {});
  bench_conv("1x1 512-128 at 28", {4, 512, 28, 28}, {128, 512, 1, 1}, {});
  bench_conv("1x1 1024-2048 s2 at 14", {8, 1024, 14, 14}, {2048, 1024, 1, 1}, {.stride = 2});
  bench_conv("groups 32 of 4 at 56", {2, 128, 56, 56}, {128, 4, 3, 3}, {.padding = 1, .groups = 32});
  bench_conv("groups 32 of 4 at 32", {32, 128, 32, 32}, {128, 4, 3, 3}, {.padding = 1, .groups = 32});
  bench_conv("the same, stride 2", {32, 128, 32, 32}, {128, 4, 3, 3}, {.stride = 2, .padding = 1, .groups = 32});
  bench_conv("groups 32 of 8 at 16", {32, 256, 16, 16}, {256, 8, 3, 3}, {.padding = 1, .groups = 32});
  bench_conv("groups 32 of 16 at 8", {32, 512, 8, 8}, {512, 16, 3, 3}, {.padding = 1, .groups = 32});
  bench_conv("groups 32 of 2 at 32", {32, 64, 32, 32}, {64, 2, 3, 3}, {.padding = 1, .groups = 32});
  bench_conv("depthwise 96 at 28", {8, 96, 28, 28}, {96, 1, 3, 3}, {.padding = 1, .groups = 96});
  bench_conv("depthwise 144 at 32", {32, 144, 32, 32}, {144, 1, 3, 3}, {.padding = 1, .groups = 144});
  bench_conv("the same, stride 2", {32, 144, 32, 32}, {144, 1, 3, 3}, {.stride = 2, .padding = 1, .groups = 144});
  bench_conv("depthwise 960 at 4", {32, 960, 4, 4}, {960, 1, 3, 3}, {.padding = 1, .groups = 960});
  bench_conv("depthwise 64 at 56", {8, 64, 56, 56}, {64, 1, 3, 3}, {.padding = 1, .groups = 64});
  bench_conv("depthwise 5x5 96 at 28", {8, 96, 28, 28}, {96, 1, 5, 5}, {.padding = 2, .groups = 96});
  bench_conv("depthwise 7x7 96 at 28", {8, 96, 28, 28}, {96, 1, 7, 7}, {.padding = 3, .groups = 96});
  bench_conv("two outputs per group", {8, 96, 28, 28}, {192, 1, 3, 3}, {.padding = 1, .groups = 96});
  bench_bn("bn relu c16", {128, 16, 32, 32}, false);
  bench_bn("bn relu c32", {128, 32, 16, 16}, false);
  bench_bn("bn relu c64", {128, 64, 8, 8}, false);
  bench_bn("bn add relu c16", {128, 16, 32, 32}, true);
  bench_bn("bn add relu c32", {128, 32, 16, 16}, true);
  bench_bn("bn add relu c64", {128, 64, 8, 8}, true);
  const Tensor features = random({128, 64, 8, 8}, MemoryFormat::kChannelsLast);
  std::printf("%-22s %8.3f ms\n", "global_avg_pool c64", best_ms([&] { (void)global_avg_pool(features); }));
  const Tensor maps = random({128, 16, 32, 32}, MemoryFormat::kChannelsLast);
  std::printf("%-22s %8.3f ms\n", "shortcut_a 16-32", best_ms([&] { (void)shortcut_a(maps, 32, 2); }));
  std::printf("%-22s %8.3f ms\n", "max_pool2d 3 s2",
              best_ms([&] { (void)max_pool2d(maps, {.kernel_size = 3, .stride = 2, .padding = 1}); }));
}
