#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include <tern/core/error.h>
#include <tern/core/ops/einsum.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/matmul.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>

namespace tern {
namespace {

// The axes of a tensor by name: letters, and for the axes of "..." the characters '0' (the last of them), '1', ...
using Labels = std::string;

constexpr char kEllipsis = '.';  // stands for "..." until the numbers of axes are known

struct Equation {
  std::vector<Labels> inputs;
  Labels output;
  bool has_output = false;
};

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool contains(const Labels& labels, char label) {
  return labels.find(label) != Labels::npos;
}

// One operand's labels, or the result's: letters and at most one "...".
Labels parse_labels(std::string_view text) {
  Labels labels;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '.') {
      TERN_CHECK(text.substr(i, 3) == "..." && !contains(labels, kEllipsis), ValueError,
                 "[einsum] expected at most one \"...\" per operand, got \"", text, "\"");
      labels += kEllipsis;
      i += 2;
      continue;
    }
    TERN_CHECK(is_letter(text[i]), ValueError, "[einsum] expected letters, \"...\", commas and \"->\", got \"", text,
               "\"");
    labels += text[i];
  }
  return labels;
}

Equation parse(std::string_view equation) {
  std::string text;
  for (const char c : equation)
    if (c != ' ') text += c;
  Equation parsed;
  const size_t arrow = text.find("->");
  parsed.has_output = arrow != std::string::npos;
  if (parsed.has_output) parsed.output = parse_labels(std::string_view(text).substr(arrow + 2));
  const std::string inputs = text.substr(0, arrow);
  for (size_t begin = 0;;) {
    const size_t comma = inputs.find(',', begin);
    parsed.inputs.push_back(parse_labels(std::string_view(inputs).substr(begin, comma - begin)));
    if (comma == std::string::npos) return parsed;
    begin = comma + 1;
  }
}

// "..." as the names of `count` axes.
Labels with_named_ellipsis(const Labels& labels, int64_t count) {
  Labels names;
  for (int64_t i = count; i > 0; --i) names += static_cast<char>('0' + i - 1);
  const size_t at = labels.find(kEllipsis);
  return at == Labels::npos ? labels : Labels(labels).replace(at, 1, names);
}

// The axes of "..." and then the letters that occur once in all inputs together, in order.
Labels implicit_output(const std::vector<Labels>& inputs) {
  std::map<char, int> occurrences;
  bool ellipsis = false;
  for (const Labels& labels : inputs)
    for (const char c : labels) c == kEllipsis ? void(ellipsis = true) : void(++occurrences[c]);
  Labels output(ellipsis ? 1 : 0, kEllipsis);
  for (const auto& [label, count] : occurrences)
    if (count == 1) output += label;
  return output;
}

struct Operand {
  Tensor tensor;
  Labels labels;  // one per axis, all different

  int64_t size(char label) const { return tensor.size(static_cast<int64_t>(labels.find(label))); }
};

// Takes diagonals until no label occurs twice.
Operand without_repetition(Operand x, size_t number) {
  for (size_t first = 0; first < x.labels.size(); ++first) {
    for (size_t second; (second = x.labels.find(x.labels[first], first + 1)) != Labels::npos;) {
      const char label = x.labels[first];
      const auto a = static_cast<int64_t>(first), b = static_cast<int64_t>(second);
      TERN_CHECK(x.tensor.size(a) == x.tensor.size(b), ShapeError, "[einsum] expected one size for both axes ", label,
                 " of operand ", number, ", got ", x.tensor.size(a), " and ", x.tensor.size(b));
      x.tensor = diagonal(x.tensor, 0, a, b);  // the diagonal becomes the last axis
      x.labels.erase(second, 1);
      x.labels.erase(first, 1);
      x.labels += label;
      if (first >= x.labels.size()) break;
    }
  }
  return x;
}

Operand summed(const Operand& x, const Labels& gone) {
  Dims axes;
  Labels left;
  for (size_t a = 0; a < x.labels.size(); ++a) {
    if (contains(gone, x.labels[a]))
      axes.push_back(static_cast<int64_t>(a));
    else
      left += x.labels[a];
  }
  return axes.empty() ? x : Operand{sum(x.tensor, axes), left};
}

// With its axes in the given order; labels that x lacks get an axis of size 1.
Tensor arranged(const Operand& x, const Labels& order) {
  Dims axes;
  for (const char label : order)
    if (contains(x.labels, label)) axes.push_back(static_cast<int64_t>(x.labels.find(label)));
  Tensor y = permute(x.tensor, axes);
  for (size_t a = 0; a < order.size(); ++a)
    if (!contains(x.labels, order[a])) y = unsqueeze(y, static_cast<int64_t>(a));
  return y;
}

Shape sizes_of(const Operand& x, const Labels& labels) {
  Shape shape;
  for (const char label : labels) shape.push_back(x.size(label));
  return shape;
}

// The product of two operands, summed over what is not in `kept`.
Operand contract(const Operand& left, const Operand& right, const Labels& kept) {
  const auto alone = [&](const Operand& x, const Operand& other, bool wanted) {
    Labels labels;
    for (const char c : x.labels)
      if (!contains(other.labels, c) && contains(kept, c) == wanted) labels += c;
    return labels;
  };
  const Operand a = summed(left, alone(left, right, false)), b = summed(right, alone(right, left, false));
  const Labels rows = alone(a, b, true), columns = alone(b, a, true);
  Labels batch, inner;
  for (const char c : a.labels)
    if (contains(b.labels, c)) (contains(kept, c) ? batch : inner) += c;

  const Labels result = batch + rows + columns, all = result + inner;
  TERN_CHECK(static_cast<int64_t>(result.size()) <= kMaxDims, ShapeError,
             "[einsum] expected intermediate results of at most ", kMaxDims, " axes, got ", result.size());
  if (static_cast<int64_t>(all.size()) <= kMaxDims &&
      (inner.empty() || (rows.empty() && columns.empty() && !batch.empty()))) {
    // element by element: nothing to sum, or one sum per batch
    const Operand product{mul(arranged(a, all), arranged(b, all)), all};
    return summed(product, inner);
  }
  const Shape batch_shape = sizes_of(a, batch), row_shape = sizes_of(a, rows), column_shape = sizes_of(b, columns);
  const int64_t batches = numel_of(batch_shape), m = numel_of(row_shape), n = numel_of(column_shape),
                k = numel_of(sizes_of(a, inner));
  const Tensor x = reshape(arranged(a, batch + rows + inner), {batches, m, k});
  const Tensor y = reshape(arranged(b, batch + inner + columns), {batches, k, n});
  Shape shape = batch_shape;
  for (const int64_t size : row_shape) shape.push_back(size);
  for (const int64_t size : column_shape) shape.push_back(size);
  return {reshape(matmul(x, y), shape), result};
}

void check_operands(const Equation& equation, const std::vector<Tensor>& operands) {
  TERN_CHECK(equation.inputs.size() == operands.size(), ValueError, "[einsum] expected ", equation.inputs.size(),
             " operands, got ", operands.size());
  for (const Tensor& x : operands) {
    check_defined("einsum", x);
    dispatch_float("einsum", x.dtype(), []<class T>() {});
    TERN_CHECK(x.dtype() == operands[0].dtype(), DTypeError, "[einsum] expected operands of one dtype, got ",
               operands[0].dtype(), " and ", x.dtype());
  }
}

// The operands with a name for every axis, and the output's.
std::vector<Operand> named(Equation& equation, const std::vector<Tensor>& operands) {
  int64_t ellipsis = 0;  // axes that "..." stands for, in the operand that has most of them
  std::vector<Operand> all;
  for (size_t i = 0; i < operands.size(); ++i) {
    const Labels& labels = equation.inputs[i];
    const int64_t letters = std::count_if(labels.begin(), labels.end(), is_letter), rest = operands[i].dim() - letters;
    TERN_CHECK(contains(labels, kEllipsis) ? rest >= 0 : rest == 0, ShapeError, "[einsum] expected ",
               contains(labels, kEllipsis) ? "at least " : "", letters, " axes for operand ", i, ", got ",
               operands[i].shape());
    ellipsis = std::max(ellipsis, rest);
    all.push_back(without_repetition({operands[i], with_named_ellipsis(labels, rest)}, i));
  }
  if (!equation.has_output) equation.output = implicit_output(equation.inputs);
  equation.output = with_named_ellipsis(equation.output, ellipsis);
  return all;
}

// Axes of size 1 go where another operand has more along that name.
void drop_broadcast_axes(std::vector<Operand>& operands) {
  std::map<char, int64_t> sizes;
  for (size_t i = 0; i < operands.size(); ++i)
    for (const char label : operands[i].labels) {
      const int64_t size = operands[i].size(label);
      int64_t& common = sizes.try_emplace(label, size).first->second;
      TERN_CHECK(size == common || size == 1 || common == 1, ShapeError, "[einsum] expected one size for ",
                 is_letter(label) ? concat("axis ", label) : std::string("the axes of ..."), ", got ", common, " and ",
                 size, " in operand ", i);
      if (common == 1) common = size;
    }
  for (Operand& x : operands)
    for (size_t a = x.labels.size(); a-- > 0;)
      if (x.tensor.size(static_cast<int64_t>(a)) != sizes[x.labels[a]]) {
        x.tensor = squeeze(x.tensor, static_cast<int64_t>(a));
        x.labels.erase(a, 1);
      }
}

void check_output(const Labels& output, const std::vector<Operand>& operands) {
  for (size_t i = 0; i < output.size(); ++i) {
    TERN_CHECK(output.find(output[i], i + 1) == Labels::npos, ValueError,
               "[einsum] expected every letter once in the result, got ", output[i], " twice");
    const bool known =
        std::any_of(operands.begin(), operands.end(), [&](const Operand& x) { return contains(x.labels, output[i]); });
    TERN_CHECK(known, ValueError, "[einsum] expected letters of the operands in the result, got ", output[i]);
  }
}

}  // namespace

Tensor einsum(std::string_view text, const std::vector<Tensor>& tensors) {
  Equation equation = parse(text);
  check_operands(equation, tensors);
  std::vector<Operand> operands = named(equation, tensors);
  check_output(equation.output, operands);
  drop_broadcast_axes(operands);
  Operand result = operands[0];
  for (size_t i = 1; i < operands.size(); ++i) {
    Labels kept = equation.output;
    for (size_t later = i + 1; later < operands.size(); ++later) kept += operands[later].labels;
    result = contract(result, operands[i], kept);
  }
  Labels gone;
  for (const char label : result.labels)
    if (!contains(equation.output, label)) gone += label;
  return arranged(summed(result, gone), equation.output);
}

}  // namespace tern
