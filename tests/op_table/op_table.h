// The op table: every public op is described here once, and every generic test runs over all descriptions.
//
// To add an op, write an entry in the file of its family, tests/op_table/FAMILY.cpp (FAMILY is the name of the header
// core/ops/FAMILY.h that declares the op):
//
//   namespace tern::test {
//   TERN_OP_FAMILY(activation) {
//     table.add({
//         .name = "relu",                                                    // the public function
//         .call = [](const Inputs& in) { return relu(in[0]); },              // returns a Tensor or a vector of them
//         .samples = {{uniform({2, 3})}, {uniform({0, 4})}, {strided(uniform({7}))}, {channels_last({2, 3, 4, 5})}},
//         .large = {{uniform({40000})}},                                     // more than one chunk of parallel_for
//         .reference = [](const Arrays& in) { return map(in[0], [](double x) { return x > 0 ? x : 0; }); },
//         .avoid = [](const Arrays& in) { return Arrays{map(in[0], [](double x) { return std::abs(x) < 1e-3; })}; },
//         .rejects = {{{int_range({3})}, "[relu] expected f32 or f64, got i64"}},
//         .keeps_format = true,
//     });
//   }
//   }  // namespace tern::test
//
// An op with settings gets one entry a setting worth testing, told apart by .variant. Parameters that are not tensors
// are written into .call. What the generic tests do with an entry (generic_*_test.cpp):
//   - forward against .reference in f64 and in f32 (inputs rounded to f32 first), on memory poisoned with NaN;
//   - gradients in f64 by central differences, output by output, away from .avoid; those of .large along one direction;
//   - f32 outputs and gradients against f64 ones; the same bits at 1, 2 and 3 threads;
//   - only requested gradients are made; gradients accumulate; no graph without grad mode;
//   - views with holes, permuted strides and (4-D) channels-last give what row-major inputs give; upstream gradients
//   too;
//   - inputs and their versions stay as they were, except those in .mutates;
//   - every input of .rejects throws exactly its sentence; undefined, misshapen and integer inputs give an Error or a
//     result, never a crash.
// Samples are made in f64 and i64/u8; the tests make the f32 ones. They are made once, when the table is first used.
//
// Golden values of PyTorch (tests/golden/ops) are compared by golden_test.cpp; say how a case is run with
//   table.golden("relu", [](const Json& attributes, const Inputs& in) { return relu(in[0]); });
#pragma once

#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include <tern/core/tensor.h>

#include "golden_attributes.h"
#include "op_table/array.h"
#include "op_table/tolerances.h"

namespace tern::test {

inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
inline constexpr double kInf = std::numeric_limits<double>::infinity();

using Inputs = std::vector<Tensor>;

/// A function from inputs to outputs, made from one that returns a Tensor, a vector, a pair or a tuple-like of Tensors.
class OpFunction {
 public:
  OpFunction() = default;
  template <class F>
  requires std::is_invocable_v<F&, const Inputs&> OpFunction(F f) {
    function_ = [f](const Inputs& in) { return as_vector(f(in)); };
  }
  std::vector<Tensor> operator()(const Inputs& in) const { return function_(in); }
  explicit operator bool() const { return function_ != nullptr; }

 private:
  static std::vector<Tensor> as_vector(Tensor x) { return {std::move(x)}; }
  static std::vector<Tensor> as_vector(std::vector<Tensor> x) { return x; }
  static std::vector<Tensor> as_vector(std::pair<Tensor, Tensor> x) { return {x.first, x.second}; }
  std::function<std::vector<Tensor>(const Inputs&)> function_;
};

/// The naive reference: Arrays in, an Array or Arrays out.
class Reference {
 public:
  Reference() = default;
  template <class F>
  requires std::is_invocable_v<F&, const Arrays&> Reference(F f) {
    function_ = [f](const Arrays& in) { return as_vector(f(in)); };
  }
  Arrays operator()(const Arrays& in) const { return function_(in); }
  explicit operator bool() const { return function_ != nullptr; }

 private:
  static Arrays as_vector(Array x) { return {std::move(x)}; }
  static Arrays as_vector(Arrays x) { return x; }
  std::function<Arrays(const Arrays&)> function_;
};

/// Inputs that must be refused, with the whole sentence of the error. `call` replaces the entry's where the mistake is
/// in a parameter.
struct Reject {
  Inputs inputs = {};
  std::string message = {};
  OpFunction call = {};
};

struct OpEntry {
  std::string name = {};     ///< of the public function
  std::string variant = {};  ///< tells entries of one function apart
  OpFunction call = {};
  std::vector<Inputs> samples = {};  ///< for every test; keep them small, gradients are checked element by element
  std::vector<Inputs> large = {};    ///< for every test but central differences
  Reference reference = {};
  std::string no_reference = {};  ///< why there is none (random results), where there is none
  /// Per input an array of its shape, non-zero where central differences must not be taken; may be shorter than inputs.
  std::function<Arrays(const Arrays&)> avoid = {};
  std::vector<Reject> rejects = {};
  /// Inputs with gradients, by number (those that a sample lacks are left out); unset: all that are floating-point. An
  /// empty list: a value op.
  std::optional<std::vector<size_t>> differentiable = {};
  std::vector<size_t> mutates = {};  ///< inputs that the op writes to, as a batch norm does to its running statistics
  std::optional<DType> output_dtype = {};  ///< where it is not that of the floating-point inputs
  Tolerance f64 = tol::kF64;
  Tolerance f32 = tol::kF32;
  std::optional<Tolerance> f32_gradient = {};  ///< unset: as f32
  GradcheckTolerance gradcheck = {};
  bool keeps_format = false;  ///< a dense input 0 gives an output with the same strides
  /// Floating-point operations of a call, for the benchmark.
  std::function<double(const Inputs&)> flops = {};

  std::string title() const { return variant.empty() ? name : name + " (" + variant + ")"; }
};

/// What a golden case's run gives: the outputs in order, and the named tensors that the file keeps beside them.
struct GoldenRun {
  std::vector<Tensor> outputs;
  std::map<std::string, Tensor> extra = {};
  GoldenRun(Tensor output) : outputs{std::move(output)} {}
  GoldenRun(std::vector<Tensor> all) : outputs(std::move(all)) {}
  GoldenRun(std::vector<Tensor> all, std::map<std::string, Tensor> beside)
      : outputs(std::move(all)), extra(std::move(beside)) {}
};
using GoldenFunction = std::function<GoldenRun(const Json& attributes, const Inputs& inputs)>;
struct GoldenOp {
  GoldenFunction run;
  Tolerance tolerance;
};

class OpTable {
 public:
  void add(OpEntry entry) { entries_.push_back(std::move(entry)); }
  /// How to run PyTorch's op of that name. Functional arguments come in `inputs` in the order that attributes["inputs"]
  /// names.
  void golden(const std::string& op, GoldenFunction function, const Tolerance& tolerance = tol::kGoldenF64) {
    golden_[op] = {std::move(function), tolerance};
  }

  const std::vector<OpEntry>& entries() const { return entries_; }
  const std::map<std::string, GoldenOp>& golden() const { return golden_; }

 private:
  std::vector<OpEntry> entries_;
  std::map<std::string, GoldenOp> golden_;
};

/// The table, filled by all families on first use.
const OpTable& op_table();
/// Names of the families that have a file here.
const std::vector<std::string>& op_families();

bool register_family(const char* family, void (*fill)(OpTable& table));

#define TERN_OP_FAMILY(family)                                                                      \
  static void fill_##family(OpTable& table);                                                        \
  [[maybe_unused]] static const bool registered_##family = register_family(#family, fill_##family); \
  static void fill_##family([[maybe_unused]] OpTable& table)

// -- sample inputs: repeatable, each call other values (a family's calls count from its beginning)

/// f64, uniform in [low, high).
Tensor uniform(const Shape& shape, double low = -1, double high = 1);
/// f64, the given values.
Tensor values(const Shape& shape, const std::vector<double>& v);
/// i64, uniform in [low, high).
Tensor integers(const Shape& shape, int64_t low, int64_t high);
/// i64, 0, 1, 2, ...
Tensor int_range(const Shape& shape);
/// u8 of 0 and 1.
Tensor mask(const Shape& shape, double share_of_ones = 0.5);
/// f64, all different, at least `gap` apart, in arbitrary order around 0: for max, sort, top-k.
Tensor distinct(const Shape& shape, double gap = 0.1);
/// The same elements with holes between them (holes hold NaN, or the largest integer).
Tensor strided(const Tensor& x);
/// The same elements with the order of the axes in memory reversed.
Tensor permuted(const Tensor& x);
/// The same elements of a 4-D tensor, channels innermost.
Tensor channels_last(const Tensor& x);
inline Tensor channels_last(const Shape& shape) {
  return channels_last(uniform(shape));
}
/// The same elements and layout in another dtype (integers keep theirs); holes hold NaN.
Tensor relaid(const Tensor& x, DType dtype);

}  // namespace tern::test
