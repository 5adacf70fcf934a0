#include <tern/core/ops/create.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

constexpr const char* kRandom = "random: tests/core/random_test.cpp checks its distribution";

// Ops without tensor inputs: one sample, the empty list.
void add_maker(OpTable& table, const char* name, const char* variant, OpFunction call, Array want, DType dtype,
               std::vector<Reject> rejects = {}) {
  table.add({.name = name,
             .variant = variant,
             .call = std::move(call),
             .samples = {{}},
             .reference = [want](const Arrays&) { return want; },
             .rejects = std::move(rejects),
             .output_dtype = dtype,
             .f64 = dtype == DType::kF32 ? tol::kF32 : tol::kF64});
}

Array list(std::vector<double> v) {
  Array out({static_cast<int64_t>(v.size())});
  out.v = std::move(v);
  return out;
}

void add_like(OpTable& table, const char* name, OpFunction call, double value) {
  table.add({.name = name,
             .call = std::move(call),
             .samples = {{uniform({2, 3})},
                         {uniform({0, 2})},
                         {uniform({})},
                         {channels_last({2, 3, 2, 2})},
                         {strided(uniform({3, 2}))}},
             .reference = [value](const Arrays& in) { return map(in[0], [value](double) { return value; }); },
             .differentiable = std::vector<size_t>{},
             .f64 = tol::kExact,
             .f32 = tol::kExact,
             .keeps_format = true});
}

// Repeatable because the seed is set before each call; large enough for several chunks.
void add_random(OpTable& table, const char* name, const char* variant, std::function<Tensor(Generator&)> make,
                std::vector<Reject> rejects = {}) {
  table.add({.name = name,
             .variant = variant,
             .call =
                 [make](const Inputs&) {
                   Generator generator(5);
                   return make(generator);
                 },
             .samples = {{}},
             .no_reference = kRandom,
             .rejects = std::move(rejects)});
}

}  // namespace

TERN_OP_FAMILY(create) {
  const auto fixed = [](auto f) { return [f](const Inputs&) { return f(); }; };
  add_maker(table, "zeros", "", fixed([] {
              return zeros({2, 3});
            }),
            Array({2, 3}), DType::kF32, {{{}, "[shape] expected sizes of at least 0, got [2, -1]", fixed([] {
                                            return zeros({2, -1});
                                          })}});
  add_maker(table, "zeros", "u8", fixed([] { return zeros({70, 5000}, DType::kU8); }), Array({70, 5000}), DType::kU8);
  add_maker(table, "ones", "", fixed([] { return ones({3, 1}); }), Array({3, 1}, 1), DType::kF32);
  add_maker(table, "ones", "bf16", fixed([] { return ones({3}, DType::kBF16); }), Array({3}, 1), DType::kBF16);
  add_maker(table, "full", "", fixed([] { return full({40000}, 2.5, DType::kF64); }), Array({40000}, 2.5), DType::kF64);
  add_maker(
      table, "full", "truncates", fixed([] { return full({2}, -2.7, DType::kI64); }), Array({2}, -2), DType::kI64,
      {{{}, "[full] expected a number that u8 can hold, got 256", fixed([] { return full({2}, 256, DType::kU8); })},
       {{}, "[full] expected a number that i8 can hold, got -129", fixed([] { return full({2}, -129, DType::kI8); })},
       {{}, "[full] expected a number that i32 can hold, got nan", fixed([] { return full({2}, kNan, DType::kI32); })},
       {{}, "[full] expected a number that i64 can hold, got 9223372036854775808", fixed([] {
          return full({2}, 0x1p63, DType::kI64);
        })},
       {{}, "[full_like] expected a number that u8 can hold, got -1", fixed([] {
          return full_like(zeros({2}, DType::kU8), -1);
        })}});
  add_maker(table, "full", "up to the limits", fixed([] { return full({2}, 255.9, DType::kU8); }), Array({2}, 255),
            DType::kU8);
  add_like(
      table, "zeros_like", [](const Inputs& in) { return zeros_like(in[0]); }, 0);
  add_like(
      table, "ones_like", [](const Inputs& in) { return ones_like(in[0]); }, 1);
  add_like(
      table, "full_like", [](const Inputs& in) { return full_like(in[0], -1.5); }, -1.5);
  add_maker(table, "arange", "end", fixed([] { return arange(4); }), list({0, 1, 2, 3}), DType::kI64,
            {{{}, "[arange] expected an end of at least 0, got -1", fixed([] { return arange(-1); })}});
  add_maker(table, "arange", "empty", fixed([] { return arange(0); }), list({}), DType::kI64);
  add_maker(table, "arange", "steps", fixed([] { return arange(2, 9, 3, DType::kF32); }), list({2, 5, 8}), DType::kF32,
            {{{}, "[arange] expected a step other than 0, got 0", fixed([] { return arange(0, 3, 0); })},
             {{}, "[arange] expected a step from 3 towards 0, got 1", fixed([] { return arange(3, 0); })}});
  add_maker(table, "arange", "wide steps", fixed([] {
              return arange(std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(), int64_t{1} << 62);
            }),
            list({-0x1p63, -0x1p62, 0, 0x1p62}), DType::kI64);
  add_maker(table, "arange", "downwards", fixed([] { return arange(3, -3, -2); }), list({3, 1, -1}), DType::kI64);
  add_maker(
      table, "linspace", "", fixed([] { return linspace(-1, 2, 4, DType::kF64); }), list({-1, 0, 1, 2}), DType::kF64,
      {{{}, "[linspace] expected a number of steps of at least 0, got -1", fixed([] { return linspace(0, 1, -1); })},
       {{}, "[linspace] expected f32 or f64, got i64", fixed([] { return linspace(0, 1, 3, DType::kI64); })}});
  add_maker(table, "linspace", "one", fixed([] { return linspace(3, 9, 1); }), list({3}), DType::kF32);
  Array identity({2, 3});
  identity(0, 0) = identity(1, 1) = 1;
  add_maker(table, "eye", "wide", fixed([] { return eye(2, 3); }), identity, DType::kF32);
  Array square({2, 2});
  square(0, 0) = square(1, 1) = 1;
  add_maker(table, "eye", "square", fixed([] { return eye(2, -1, DType::kI64); }), square, DType::kI64);
  add_maker(table, "tensor", "literals", fixed([] { return tensor({1.5, -2.0}); }), list({1.5, -2}), DType::kF32);
  add_maker(table, "tensor", "integers", fixed([] { return tensor({3, 1, 2}); }), list({3, 1, 2}), DType::kI64);
  Array matrix({2, 2});
  matrix.v = {1, 2, 3, 4};
  add_maker(table, "tensor", "shape", fixed([] {
              return tensor(std::vector<double>{1, 2, 3, 4}, {2, 2});
            }),
            matrix, DType::kF64, {{{}, "[tensor] expected 4 values for shape [2, 2], got 3", fixed([] {
                                     return tensor(std::vector<float>{1, 2, 3}, {2, 2});
                                   })}});
  add_maker(table, "from_data", "", fixed([] {
              const uint8_t bytes[] = {7, 0, 255};
              return from_data(bytes, {3});
            }),
            list({7, 0, 255}), DType::kU8);

  for (const DType dtype : {DType::kF32, DType::kF64}) {
    const std::string name = to_string(dtype);
    add_random(table, "rand", name.c_str(), [dtype](Generator& g) { return rand({40001}, dtype, &g); },
               {{{}, "[rand] expected f32 or f64, got i64", fixed([] { return rand({2}, DType::kI64); })}});
    add_random(table, "randn", name.c_str(),
               [dtype](Generator& g) {
                 return randn({3, 13337}, dtype, &g);
               },
               {{{}, "[randn] expected f32 or f64, got u8", fixed([] { return randn({2}, DType::kU8); })}});
    add_random(table, "fill_uniform", name.c_str(),
               [dtype](Generator& g) {
                 Tensor x = empty({40001}, dtype);
                 fill_uniform(x, -2, 5, &g);
                 return x;
               },
               {{{}, "[fill_uniform] expected a lower bound not above the upper one, got 2 and 1", fixed([] {
                   Tensor x = zeros({3});
                   fill_uniform(x, 2, 1);
                   return x;
                 })},
                {{}, "[fill_uniform] expected bounds whose distance f32 can hold, got -3e+38 and 3e+38", fixed([] {
                   Tensor x = zeros({4});
                   fill_uniform(x, -3e38, 3e38);
                   return x;
                 })},
                {{}, "[fill_uniform] expected a dense tensor, got shape [2] with strides [2]", fixed([] {
                   Tensor x = zeros({4}).slice(0, 0, 4, 2);
                   fill_uniform(x, 0, 1);
                   return x;
                 })}});
    add_random(
        table, "fill_normal", name.c_str(),
        [dtype](Generator& g) {
          Tensor x = empty({40001}, dtype);
          fill_normal(x, 3, 0.5, &g);
          return x;
        },
        {{{}, "[fill_normal] expected a standard deviation of at least 0, got -1", fixed([] {
            Tensor x = zeros({3});
            fill_normal(x, 0, -1);
            return x;
          })},
         {{}, "[fill_normal] expected a finite mean and standard deviation, got 0 and inf", fixed([] {
            Tensor x = zeros({3});
            fill_normal(x, 0, kInf);
            return x;
          })},
         {{}, "[fill_normal] expected a mean and standard deviation that f32 can hold, got 1e+300 and 1", fixed([] {
            Tensor x = zeros({3});
            fill_normal(x, 1e300, 1);
            return x;
          })},
         {{}, "[fill_normal] expected a mean and standard deviation that f32 can hold, got 0 and 1e+39", fixed([] {
            Tensor x = zeros({3});
            fill_normal(x, 0, 1e39);
            return x;
          })}});
    add_random(table, "rand_like", name.c_str(),
               [dtype](Generator& g) { return rand_like(zeros({20001}, dtype), &g); });
    add_random(table, "randn_like", name.c_str(),
               [dtype](Generator& g) { return randn_like(zeros({20001}, dtype), &g); });
  }
  add_random(table, "randint", "", [](Generator& g) { return randint(-3, 9, {20001}, &g); },
             {{{}, "[randint] expected a lower bound below the upper one, got 3 and 3", fixed([] {
                 return randint(3, 3, {2});
               })}});
  add_random(
      table, "bernoulli", "", [](Generator& g) { return bernoulli(0.3, {40001}, DType::kF32, &g); },
      {{{}, "[bernoulli] expected a probability between 0 and 1, got 1.5", fixed([] { return bernoulli(1.5, {2}); })}});
  const Tensor weights = uniform({30, 50}, 0, 2);
  for (const bool replacement : {false, true})
    add_random(table, "multinomial", replacement ? "replacement" : "",
               [=](Generator& g) { return multinomial(weights, 20, replacement, &g); },
               {{{uniform({2, 3, 4})},
                 "[multinomial] expected weights of shape [C] or [N, C], got [2, 3, 4]",
                 [](const Inputs& in) { return multinomial(in[0], 1); }},
                {{int_range({3})},
                 "[multinomial] expected f32 or f64, got i64",
                 [](const Inputs& in) { return multinomial(in[0], 1); }},
                {{uniform({3}, 1, 2)},
                 "[multinomial] expected a count of at least 0, got -1",
                 [](const Inputs& in) { return multinomial(in[0], -1); }},
                {{values({2}, {1, -1})},
                 "[multinomial] expected finite weights of at least 0, got -1",
                 [](const Inputs& in) { return multinomial(in[0], 1); }},
                {{values({2}, {1, kNan})},
                 "[multinomial] expected finite weights of at least 0, got nan",
                 [](const Inputs& in) { return multinomial(in[0], 1); }},
                {{values({2}, {1e308, 1e308})},
                 "[multinomial] expected weights with a finite sum, got one of inf",
                 [](const Inputs& in) { return multinomial(in[0], 1); }},
                {{values({2, 2}, {1, 1, 0, 0})},
                 "[multinomial] expected a weight above 0 in every row, got none",
                 [](const Inputs& in) { return multinomial(in[0], 1, true); }},
                {{values({3}, {1, 0, 2})},
                 "[multinomial] expected at most 2 draws without replacement, one per weight above 0, got 3",
                 [](const Inputs& in) { return multinomial(in[0], 3); }}});
  add_random(table, "randperm", "", [](Generator& g) { return randperm(1001, &g); },
             {{{}, "[randperm] expected a number of at least 0, got -1", fixed([] { return randperm(-1); })}});
}

}  // namespace tern::test
