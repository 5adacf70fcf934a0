#include <tern/core/ops/copy.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

void add_copy(OpTable& table, const char* name, const char* variant, OpFunction call) {
  table.add({.name = name,
             .variant = variant,
             .call = std::move(call),
             .samples = {{channels_last({2, 3, 4, 2})},
                         {strided(uniform({2, 3, 1, 2}))},
                         {uniform({0, 2, 1, 1})},
                         {uniform({1, 3, 1, 1}).expand({2, 3, 2, 1})}},
             .large = {{uniform({2, 20, 30, 30}).permute({0, 3, 1, 2})}},
             .reference = [](const Arrays& in) { return in[0]; },
             .f64 = tol::kExact,
             .f32 = tol::kExact});
}

}  // namespace

TERN_OP_FAMILY(copy) {
  add_copy(table, "clone", "", [](const Inputs& in) { return clone(in[0]); });
  add_copy(table, "clone", "channels-last", [](const Inputs& in) { return clone(in[0], MemoryFormat::kChannelsLast); });
  add_copy(table, "contiguous", "", [](const Inputs& in) { return contiguous(in[0]); });
  add_copy(table, "contiguous", "channels-last",
           [](const Inputs& in) { return contiguous(in[0], MemoryFormat::kChannelsLast); });
  add_copy(table, "dense", "", [](const Inputs& in) { return dense(in[0]); });
  table.add({.name = "clone",
             .variant = "errors",
             .call = [](const Inputs& in) { return clone(in[0]); },
             .samples = {{uniform({2, 3})}, {integers({3}, -5, 5)}, {mask({2, 2})}, {uniform({})}},
             .reference = [](const Arrays& in) { return in[0]; },
             .rejects = {{{uniform({2, 3})},
                          "[memory_format] expected a 4-D shape for channels-last, got [2, 3]",
                          [](const Inputs& in) { return clone(in[0], MemoryFormat::kChannelsLast); }}},
             .f64 = tol::kExact,
             .f32 = tol::kExact,
             .keeps_format = true});
  for (const DType dtype : {DType::kF64, DType::kF32})
    table.add({.name = "cast",
               .variant = to_string(dtype),
               .call = [dtype](const Inputs& in) { return cast(in[0], dtype); },
               .samples = {{channels_last({2, 3, 4, 2})}, {strided(uniform({3, 2}))}, {uniform({0})}, {int_range({4})}},
               .reference = [](const Arrays& in) { return in[0]; },
               .output_dtype = dtype,
               .f64 = tol::kF32,
               .f32 = tol::kExact,
               // f32 moves in steps of 2^-24: the difference needs a larger step
               .gradcheck = dtype == DType::kF32 ? GradcheckTolerance{0x1p-10, 1e-3, 1e-3} : GradcheckTolerance{},
               .keeps_format = true});
  table.add({.name = "cast",
             .variant = "to integers",
             .call = [](const Inputs& in) { return cast(in[0], DType::kI32); },
             .samples = {{uniform({5, 3}, -9, 9)}, {mask({4})}, {integers({3}, -5, 5)}},
             .large = {{uniform({40000}, -1000, 1000)}},
             .reference =
                 [](const Arrays& in) {
                   return map(in[0], [](double x) { return static_cast<double>(static_cast<int64_t>(x)); });
                 },
             .differentiable = std::vector<size_t>{},
             .output_dtype = DType::kI32,
             .f64 = tol::kExact,
             .f32 = tol::kExact});
  table.add({.name = "cast",
             .variant = "to bf16 and back",
             .call = [](const Inputs& in) { return cast(cast(in[0], DType::kBF16), in[0].dtype()); },
             .samples = {{values({6}, {1, -2, 0.5, 3, 1.0078125, 0})}},  // exact in bf16; steps are too fine for it
             .reference = [](const Arrays& in) { return in[0]; },
             .avoid = [](const Arrays& in) { return Arrays{Array(in[0].shape, 1)}; },
             .f64 = tol::kF32,
             .f32 = tol::kExact,
             .f32_gradient = Tolerance{0x1p-8, 0}});
}

}  // namespace tern::test
