#include <array>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/kernels/linear.h>
#include <tern/core/kernels/panel_gemm.h>
#include <tern/core/kernels/recurrent.h>
#include <tern/core/linalg/gemm.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/recurrent.h>
#include <tern/core/ops/shape.h>

// How a layer is computed. The inputs of all steps are multiplied by their weights at once, into the rows of `gates`. A
// step then adds the product of the state before it and the recurrent weights, which are packed into panels once, and
// applies the cell's functions to each block of hidden units as soon as its sums are complete: one parallel_for a step.
// Backward, a step's block first gathers what the later step sends back, then computes the gradients of its own sums;
// these are kept for all steps, so that the gradients of the weights are one product each at the end. Nothing is
// allocated between steps.

namespace tern {
namespace {

constexpr int64_t kTaskWork = int64_t{1} << 18;  // multiply-adds that are worth a hand-over to another thread
constexpr int64_t kMaxColumnBlocks = 16;
constexpr int64_t kRowBlock = 96;

enum Input : size_t { kX, kInputWeight, kHiddenWeight, kInputBias, kHiddenBias, kH, kC, kInputs };

// A run of slots of the gates and the rows of the input weights that belong to it.
struct Piece {
  int64_t slot = 0, gate = 0, count = 0;
};

struct Sizes {
  RecurrentKind kind = RecurrentKind::kLstm;
  int64_t steps = 0, batch = 0, inputs = 0, hidden = 0;
  bool reverse = false;

  bool is_lstm() const { return kind == RecurrentKind::kLstm; }
  bool is_gru() const { return kind == RecurrentKind::kGru; }
  int64_t gates() const { return is_lstm() ? 4 : is_gru() ? 3 : 1; }
  /// Recurrent gate g is slot g; the GRU's "new" has its two parts apart (kernels/recurrent.h).
  int64_t slots() const { return is_gru() ? 4 : gates(); }
  std::vector<Piece> pieces() const {
    if (is_gru()) return {{0, 0, 2}, {3, 2, 1}};
    return {{0, 0, gates()}};
  }
  /// Where step s stands in x and in the output.
  int64_t time(int64_t step) const { return reverse ? steps - 1 - step : step; }
};

// Row length of a matrix that panel products read: rows 2 KiB apart share so few sets of the caches that the kernel
// would pack them first, every time.
template <class T>
int64_t padded(int64_t cols) {
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));
  return cols * static_cast<int64_t>(sizeof(T)) % 2048 == 0 ? cols + kLine : cols;
}

struct Blocks {
  int64_t rows = 1, cols = 1, row_blocks = 0, count = 0, grain = 1;
  Blocks(const Sizes& s, int64_t panel_width) {
    const int64_t wanted = (s.hidden + kMaxColumnBlocks - 1) / kMaxColumnBlocks;
    cols = (wanted + panel_width - 1) / panel_width * panel_width;
    rows = std::clamp<int64_t>(s.batch, 1, kRowBlock);
    row_blocks = chunk_count(s.batch, rows);
    count = row_blocks * chunk_count(s.hidden, cols);
    grain = std::max<int64_t>(1, kTaskWork / (rows * std::min(cols, s.hidden) * s.hidden * s.gates()));
  }
  /// Calls body(first row, rows, first column, columns) for every block, on all threads.
  template <class Body>
  void for_each(const Sizes& s, const Body& body) const {
    parallel_for(count, grain, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t i = task % row_blocks * rows, j = task / row_blocks * cols;
        body(i, std::min(rows, s.batch - i), j, std::min(cols, s.hidden - j));
      }
    });
  }
};

template <class T>
gemm::Matrices<const T> matrices(const gemm::MatrixView& view) {
  return {view.tensor.template data<T>(), view.row_stride, view.col_stride};
}

// Rows [begin, end) of the first axis, outside the graph.
Tensor rows_of(const Tensor& x, int64_t begin, int64_t end) {
  return slice(x.detach(), 0, begin, end);
}

Tensor flat(const Tensor& x) {
  return reshape(x.detach(), {x.shape()[0] * x.shape()[1], x.shape()[2]});
}

// The biases of each slot, [slots * hidden]; undefined without any.
Tensor slot_biases(const Sizes& s, const Tensor& input_bias, const Tensor& hidden_bias) {
  if (!input_bias.defined() && !hidden_bias.defined()) return {};
  Tensor sums = zeros({s.slots() * s.hidden}, (input_bias.defined() ? input_bias : hidden_bias).dtype());
  for (const Piece& p : s.pieces()) {
    Tensor to = slice(sums, 0, p.slot * s.hidden, (p.slot + p.count) * s.hidden);
    if (input_bias.defined()) to.add_(rows_of(input_bias, p.gate * s.hidden, (p.gate + p.count) * s.hidden));
  }
  if (!hidden_bias.defined()) return sums;
  const int64_t added = (s.is_gru() ? 2 : s.gates()) * s.hidden;  // of the GRU's "new" the cell itself adds it
  slice(sums, 0, 0, added).add_(rows_of(hidden_bias, 0, added));
  return sums;
}

// gates = x w^T + biases, for all steps.
template <class T>
void project_inputs(const Sizes& s, const Tensor& x, const Tensor& weight, const Tensor& biases, T* gates,
                    int64_t gates_row) {
  const gemm::MatrixView a = gemm::as_matrices(flat(x));
  for (const Piece& p : s.pieces()) {
    const gemm::MatrixView b =
        gemm::as_matrices(rows_of(weight, p.gate * s.hidden, (p.gate + p.count) * s.hidden)).transposed();
    struct Context {
      T* z;
      int64_t ld;
      const T* bias;
    } context{gates + p.slot * s.hidden, gates_row, biases.defined() ? biases.data<T>() + p.slot * s.hidden : nullptr};
    gemm::Product<T> product{.m = a.rows,
                             .n = b.cols,
                             .k = a.cols,
                             .a = matrices<T>(a),
                             .b = matrices<T>(b),
                             .c = {context.z, gates_row, 1}};
    if (biases.defined()) {
      product.epilogue = [](const void* pointer, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
        const auto& c = *static_cast<const Context*>(pointer);
        T* z = c.z + i0 * c.ld + j0;
        TERN_KERNEL(bias_act<T>)(kernels::LinearAct::kNone, z, z, c.ld, c.bias + j0, i1 - i0, j1 - j0);
      };
      product.context = &context;
    }
    gemm::multiply(product);
  }
}

// c (+)= a b, b a tensor [k, n].
template <class T>
void multiply_by(int64_t m, const T* a, int64_t a_row, int64_t a_col, const Tensor& right, T* c, int64_t c_row,
                 bool accumulate) {
  const gemm::MatrixView b = gemm::as_matrices(right);
  gemm::multiply(gemm::Product<T>{.m = m,
                                  .n = b.cols,
                                  .k = b.rows,
                                  .a = {a, a_row, a_col},
                                  .b = matrices<T>(b),
                                  .c = {c, c_row, 1},
                                  .accumulate = accumulate});
}

// What a forward leaves for its backward.
struct Saved {
  Tensor gates;  // [T N, padded row]
  Tensor c;      // LSTM: [T, N, hidden]
};

template <class T>
Saved run_forward(const Sizes& s, const std::array<Tensor, kInputs>& in, Tensor& output) {
  const int64_t n = s.batch, hidden = s.hidden, row = padded<T>(s.slots() * hidden), state_row = padded<T>(hidden);
  const DType dtype = dtype_of<T>();
  Saved saved{.gates = empty({s.steps * n, row}, dtype), .c = {}};
  if (s.is_lstm()) saved.c = empty({s.steps, n, hidden}, dtype);
  T* const gates = saved.gates.data<T>();
  project_inputs<T>(s, in[kX], in[kInputWeight], slot_biases(s, in[kInputBias], in[kHiddenBias]), gates, row);

  Tensor states = empty({2, n, state_row}, dtype);  // of the step before and of this one, in turn
  {
    Tensor first = slice(states.select(0, 0), 1, 0, hidden);
    if (in[kH].defined())
      first.copy_(in[kH].detach());
    else
      first.zero_();
  }
  const Tensor first_c = s.is_lstm() && !in[kC].defined() ? zeros({n, hidden}, dtype) : in[kC];
  const Tensor& weight = in[kHiddenWeight];
  std::vector<gemm::Panels<T>> panels;  // of each gate; a single step is not worth packing
  for (int64_t g = 0; s.steps > 1 && g < s.gates(); ++g)
    panels.push_back(gemm::pack_right<T>({weight.data<T>() + g * hidden * hidden, 1, hidden}, hidden, hidden));
  const Blocks blocks(s, TERN_KERNEL(panel_width<T>)());
  TERN_ASSERT(TERN_KERNEL(multiply_panels_scratch<T>)(blocks.rows, hidden, state_row, 1) == 0,
              "rows of states that would be packed");
  const auto adds = [&](int64_t gate) { return !(s.is_gru() && gate == 2); };

  for (int64_t step = 0; step < s.steps; ++step) {
    const int64_t t = s.time(step), before = step > 0 ? s.time(step - 1) : 0;
    T* const sums = gates + t * n * row;
    const T* const previous = states.data<T>() + step % 2 * n * state_row;
    T* const next = states.data<T>() + (step + 1) % 2 * n * state_row;
    for (int64_t g = 0; panels.empty() && g < s.gates(); ++g)
      multiply_by<T>(n, previous, state_row, 1, transpose(rows_of(weight, g * hidden, (g + 1) * hidden), 0, 1),
                     sums + g * hidden, row, adds(g));
    const T* const c_previous = !s.is_lstm() ? nullptr
                                : step == 0  ? first_c.data<T>()
                                             : saved.c.data<T>() + before * n * hidden;
    blocks.for_each(s, [&](int64_t i, int64_t rows, int64_t j, int64_t cols) {
      for (size_t g = 0; g < panels.size(); ++g) TERN_KERNEL(multiply_panels<T>)
      (rows, cols, hidden, previous + i * state_row, state_row, 1, panels[g].memory.template data<T>() + j * hidden,
       hidden, sums + i * row + static_cast<int64_t>(g) * hidden + j, row, adds(static_cast<int64_t>(g)), nullptr);
      const int64_t at = i * hidden + j, here = t * n * hidden + at;
      TERN_KERNEL(cell_forward<T>)
      (s.kind,
       {.block = {.rows = rows,
                  .cols = cols,
                  .hidden = hidden,
                  .gates_row = row,
                  .state_row = state_row,
                  .h_previous = previous + i * state_row + j,
                  .c_previous = s.is_lstm() ? c_previous + at : nullptr},
        .gates = sums + i * row + j,
        .new_bias = s.is_gru() && in[kHiddenBias].defined() ? in[kHiddenBias].data<T>() + 2 * hidden + j : nullptr,
        .c = s.is_lstm() ? saved.c.data<T>() + here : nullptr,
        .h = output.data<T>() + here,
        .next = next + i * state_row + j});
    });
  }
  return saved;
}

// Gradients with respect to the sums in `gates`, of all steps, [T N, row of gates]; carry_h and carry_c come as the
// gradients of the last states and leave as those of the first ones, but for what the first step's sums add to carry_h.
template <class T>
Tensor run_backward(const Sizes& s, const Saved& saved, const Tensor& weight, const Tensor& output, const Tensor& h,
                    const Tensor& c, const Tensor& grad_output, Tensor& carry_h, Tensor& carry_c) {
  const int64_t n = s.batch, hidden = s.hidden, row = saved.gates.shape()[1], inner = s.gates() * hidden;
  Tensor grad_gates = empty(saved.gates.shape(), saved.gates.dtype());
  T* const grads = grad_gates.data<T>();
  const Tensor zero = h.defined() && (c.defined() || !s.is_lstm()) ? Tensor() : zeros({n, hidden}, weight.dtype());
  const Tensor& first_h = h.defined() ? h : zero;
  const Tensor& first_c = c.defined() ? c : zero;
  gemm::Panels<T> panels;
  if (s.steps > 1) panels = gemm::pack_right<T>({weight.data<T>(), hidden, 1}, inner, hidden);
  const Blocks blocks(s, TERN_KERNEL(panel_width<T>)());
  TERN_ASSERT(TERN_KERNEL(multiply_panels_scratch<T>)(blocks.rows, inner, row, 1) == 0,
              "rows of gates that would be packed");

  for (int64_t step = s.steps - 1; step >= 0; --step) {
    const int64_t t = s.time(step), before = step > 0 ? s.time(step - 1) : 0;
    const bool last = step == s.steps - 1;
    const T* const later = last ? nullptr : grads + s.time(step + 1) * n * row;
    const T* const h_previous = step > 0 ? output.data<T>() + before * n * hidden : first_h.data<T>();
    const T* const c_previous = !s.is_lstm() ? nullptr
                                : step == 0  ? first_c.data<T>()
                                             : saved.c.data<T>() + before * n * hidden;
    blocks.for_each(s, [&](int64_t i, int64_t rows, int64_t j, int64_t cols) {
      const int64_t at = i * hidden + j, here = t * n * hidden + at, gates_at = (t * n + i) * row + j;
      if (!last) TERN_KERNEL(multiply_panels<T>)
      (rows, cols, inner, later + i * row, row, 1, panels.memory.template data<T>() + j * inner, inner,
       carry_h.data<T>() + at, hidden, s.is_gru(), nullptr);
      TERN_KERNEL(cell_backward<T>)
      (s.kind, {.block = {.rows = rows,
                          .cols = cols,
                          .hidden = hidden,
                          .gates_row = row,
                          .state_row = hidden,
                          .h_previous = h_previous + at,
                          .c_previous = s.is_lstm() ? c_previous + at : nullptr},
                .gates = saved.gates.data<T>() + gates_at,
                .grad_gates = grads + gates_at,
                .c = s.is_lstm() ? saved.c.data<T>() + here : nullptr,
                .grad_h = grad_output.defined() ? grad_output.data<T>() + here : nullptr,
                .carry_h = carry_h.data<T>() + at,
                .carry_c = s.is_lstm() ? carry_c.data<T>() + at : nullptr});
    });
  }
  return grad_gates;
}

// Column sums of the gates' gradients: of each slot.
template <class T>
Tensor slot_sums(const Tensor& grad_gates) {
  const int64_t rows = grad_gates.shape()[0], cols = grad_gates.shape()[1];
  Tensor sums = empty({cols}, grad_gates.dtype());
  Tensor partials = empty({kernels::column_sum_blocks(rows, cols), cols}, grad_gates.dtype());
  TERN_KERNEL(column_sums<T>)(grad_gates.data<T>(), rows, cols, partials.data<T>(), sums.data<T>());
  return sums;
}

struct RecurrentBackward {
  const char* name = nullptr;
  Sizes s;
  Saved saved;
  SavedTensor x, input_weight, hidden_weight, h, c, output;

  Gradients backward(std::span<const Tensor> grad_outputs, NeedsGrad needs) const {
    Gradients grads(kInputs);
    dispatch_float(name, x->dtype(), [&]<class T>() { compute<T>(grad_outputs, needs, grads); });
    return grads;
  }

  template <class T>
  void compute(std::span<const Tensor> grad_outputs, const NeedsGrad& needs, Gradients& grads) const {
    const int64_t n = s.batch, hidden = s.hidden, rows = s.steps * n;
    const DType dtype = dtype_of<T>();
    const auto carried = [&](size_t i) {
      if (i >= grad_outputs.size() || !grad_outputs[i].defined()) return zeros({n, hidden}, dtype);
      return grad_outputs[i].detach().clone(MemoryFormat::kContiguous);
    };
    Tensor carry_h = carried(1), carry_c = s.is_lstm() ? carried(2) : Tensor();
    const Tensor grad_output = grad_outputs[0].defined() ? contiguous(grad_outputs[0]) : Tensor();
    const auto given = [](const SavedTensor& tensor) { return tensor.defined() ? *tensor : Tensor(); };
    const Tensor grad_gates =
        run_backward<T>(s, saved, *hidden_weight, *output, given(h), given(c), grad_output, carry_h, carry_c);
    const int64_t row = grad_gates.shape()[1];
    const T* const g = grad_gates.data<T>();
    const T* const first_step = g + s.time(0) * n * row;

    if (needs[kX]) {
      Tensor grad = empty(x->shape(), dtype);
      for (const Piece& p : s.pieces())
        multiply_by<T>(rows, g + p.slot * hidden, row, 1,
                       rows_of(*input_weight, p.gate * hidden, (p.gate + p.count) * hidden), grad.data<T>(), s.inputs,
                       p.slot > 0);
      grads[kX] = grad;
    }
    if (needs[kInputWeight]) {
      Tensor grad = empty(input_weight->shape(), dtype);
      for (const Piece& p : s.pieces())
        multiply_by<T>(p.count * hidden, g + p.slot * hidden, 1, row, flat(*x),
                       grad.data<T>() + p.gate * hidden * s.inputs, s.inputs, false);
      grads[kInputWeight] = grad;
    }
    if (needs[kHiddenWeight]) {
      Tensor grad = empty(hidden_weight->shape(), dtype);
      const int64_t sums = s.gates() * hidden, later = s.reverse ? 0 : 1;
      multiply_by<T>(sums, g + later * n * row, 1, row, flat(rows_of(*output, 1 - later, s.steps - later)),
                     grad.data<T>(), hidden, false);
      if (h.defined()) multiply_by<T>(sums, first_step, 1, row, *h, grad.data<T>(), hidden, true);
      grads[kHiddenWeight] = grad;
    }
    if (needs[kInputBias] || needs[kHiddenBias]) {
      const Tensor sums = slot_sums<T>(grad_gates);
      if (needs[kInputBias]) {
        Tensor grad = empty({s.gates() * hidden}, dtype);
        for (const Piece& p : s.pieces())
          slice(grad, 0, p.gate * hidden, (p.gate + p.count) * hidden)
              .copy_(slice(sums, 0, p.slot * hidden, (p.slot + p.count) * hidden));
        grads[kInputBias] = grad;
      }
      if (needs[kHiddenBias]) grads[kHiddenBias] = slice(sums, 0, 0, s.gates() * hidden).clone();
    }
    if (needs[kH]) {
      multiply_by<T>(n, first_step, row, 1, *hidden_weight, carry_h.data<T>(), hidden, s.is_gru());
      grads[kH] = carry_h;
    }
    if (needs[kC]) grads[kC] = carry_c;
  }
};

Sizes check(const char* op, RecurrentKind kind, bool reverse, const std::array<Tensor, kInputs>& in) {
  const Tensor &x = in[kX], &input_weight = in[kInputWeight], &hidden_weight = in[kHiddenWeight];
  check_defined(op, x, input_weight, hidden_weight);
  dispatch_float(op, x.dtype(), []<class T>() {});
  TERN_CHECK(x.dim() == 3 && x.shape()[0] >= 1, ShapeError, "[", op,
             "] expected x [T, N, inputs] with at least one step, got ", x.shape());
  Sizes s{.kind = kind, .steps = x.shape()[0], .batch = x.shape()[1], .inputs = x.shape()[2], .reverse = reverse};
  TERN_CHECK(hidden_weight.dim() == 2 && hidden_weight.shape()[1] >= 1 &&
                 hidden_weight.shape()[0] == s.gates() * hidden_weight.shape()[1],
             ShapeError, "[", op, "] expected a hidden weight [", s.gates(), " * hidden, hidden], got ",
             hidden_weight.shape());
  s.hidden = hidden_weight.shape()[1];
  const int64_t rows = s.gates() * s.hidden;
  const auto expect = [&](const char* what, const Tensor& tensor, const Shape& shape) {
    if (!tensor.defined()) return;
    TERN_CHECK(tensor.shape() == shape, ShapeError, "[", op, "] expected ", what, " ", shape, " for x ", x.shape(),
               " and a hidden weight ", hidden_weight.shape(), ", got ", tensor.shape());
    TERN_CHECK(tensor.dtype() == x.dtype(), DTypeError, "[", op, "] expected ", what, " of ", x.dtype(), ", got ",
               tensor.dtype());
  };
  expect("an input weight", input_weight, {rows, s.inputs});
  expect("a hidden weight", hidden_weight, {rows, s.hidden});
  expect("an input bias", in[kInputBias], {rows});
  expect("a hidden bias", in[kHiddenBias], {rows});
  expect("h", in[kH], {s.batch, s.hidden});
  expect("c", in[kC], {s.batch, s.hidden});
  return s;
}

RecurrentSequence run(const char* op, RecurrentKind kind, bool reverse, const std::array<Tensor, kInputs>& in) {
  const Sizes s = check(op, kind, reverse, in);
  std::array<Tensor, kInputs> dense;  // what the graph records are the inputs themselves
  for (size_t i = 0; i < kInputs; ++i)
    if (in[i].defined()) dense[i] = in[i].is_contiguous() ? in[i] : in[i].detach().contiguous();
  Tensor output = empty({s.steps, s.batch, s.hidden}, in[kX].dtype());
  Saved saved;
  dispatch_float(op, output.dtype(), [&]<class T>() { saved = run_forward<T>(s, dense, output); });

  const auto last = [&](const Tensor& states) { return states.select(0, s.time(s.steps - 1)).clone(); };
  std::vector<Tensor> results{output, last(output)};
  if (s.is_lstm()) results.push_back(last(saved.c));
  results = autograd::record_all<RecurrentBackward>(std::move(results), in,
                                                    {.name = op,
                                                     .s = s,
                                                     .saved = saved,
                                                     .x = dense[kX],
                                                     .input_weight = dense[kInputWeight],
                                                     .hidden_weight = dense[kHiddenWeight],
                                                     .h = dense[kH],
                                                     .c = dense[kC],
                                                     .output = output});
  return {results[0], results[1], s.is_lstm() ? results[2] : Tensor()};
}

}  // namespace

RecurrentSequence lstm_layer(const Tensor& x, const RecurrentWeights& w, const Tensor& h, const Tensor& c,
                             bool reverse) {
  return run("lstm_layer", RecurrentKind::kLstm, reverse, {x, w.input, w.hidden, w.input_bias, w.hidden_bias, h, c});
}

RecurrentSequence gru_layer(const Tensor& x, const RecurrentWeights& w, const Tensor& h, bool reverse) {
  return run("gru_layer", RecurrentKind::kGru, reverse,
             {x, w.input, w.hidden, w.input_bias, w.hidden_bias, h, Tensor()});
}

RecurrentSequence rnn_layer(const Tensor& x, const RecurrentWeights& w, const Tensor& h, RnnNonlinearity nonlinearity,
                            bool reverse) {
  const bool is_relu = nonlinearity == RnnNonlinearity::kRelu;
  return run("rnn_layer", is_relu ? RecurrentKind::kRelu : RecurrentKind::kTanh, reverse,
             {x, w.input, w.hidden, w.input_bias, w.hidden_bias, h, Tensor()});
}

}  // namespace tern
