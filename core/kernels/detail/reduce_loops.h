// The loops of all reductions, for kernel sources only: rows (the innermost axis is reduced) and columns (it is kept),
// cut into parts by the shape alone.
#pragma once

#include <tern/core/kernels/detail/simd.h>
#include <tern/core/kernels/detail/walk.h>
#include <tern/core/kernels/reduce.h>

namespace tern::kernels::TERN_ISA {
namespace {

// A reduction Op of elements T is described by a struct:
//   Result         what terms are joined in, and partial results kept in (f64 for floats)
//   Element        what single elements are converted to for map
//   kVector        whether vectors of T are joined first; blocks of them then go to Result
//   kShifted       whether map looks at the shift
//   kStart         the result over nothing
//   map(x, shift)  the term of an element (T's vector, or Element)
//   join(a, b)     two terms into one

// One run of n elements.
template <class Op, class T>
typename Op::Result reduce_run(const T* x, int64_t n, int64_t step, T shift) {
  using Result = typename Op::Result;
  using Element = typename Op::Element;
  Result result = Op::kStart;
  int64_t i = 0;
  if constexpr (Op::kVector) {
    constexpr int64_t w = Simd<T>::kWidth, block = 128 * w;
    if (step == 1) {
      const typename Simd<T>::Vec s = Simd<T>::broadcast(shift);
      while (n - i >= w) {
        const int64_t end = n - i < block ? n : i + block;
        typename Simd<T>::Vec a = Simd<T>::broadcast(static_cast<T>(Op::kStart)), b = a, c = a, d = a;
        for (; i + 4 * w <= end; i += 4 * w) {
          a = Op::join(a, Op::map(Simd<T>::load(x + i), s));
          b = Op::join(b, Op::map(Simd<T>::load(x + i + w), s));
          c = Op::join(c, Op::map(Simd<T>::load(x + i + 2 * w), s));
          d = Op::join(d, Op::map(Simd<T>::load(x + i + 3 * w), s));
        }
        for (; i + w <= end; i += w) a = Op::join(a, Op::map(Simd<T>::load(x + i), s));
        a = Op::join(Op::join(a, b), Op::join(c, d));
        for (int64_t l = 0; l < w; ++l) result = Op::join(result, static_cast<Result>(a[l]));
      }
    }
  }
  for (; i < n; ++i) result = Op::join(result, Op::map(static_cast<Element>(x[i * step]), static_cast<Element>(shift)));
  return result;
}

// The reduced positions [begin, end) of one output, in runs along the innermost reduced axis.
template <class Op, class T>
typename Op::Result reduce_positions(const ReducePlan& p, const T* x, int64_t begin, int64_t end, T shift) {
  if (p.reduced_axes <= 1) {
    const int64_t step = p.reduced_axes == 0 ? 0 : p.reduced_stride[0];
    return reduce_run<Op, T>(x + begin * step, end - begin, step, shift);
  }
  const int64_t inner = p.reduced_size[0], step = p.reduced_stride[0];
  Walk<1> runs{p.reduced_axes - 1, p.reduced_size + 1, {p.reduced_stride + 1}};
  runs.seek(begin / inner);
  typename Op::Result result = Op::kStart;
  for (int64_t at = begin, first = begin % inner; at < end; first = 0, runs.next()) {
    const int64_t n = inner - first < end - at ? inner - first : end - at;
    result = Op::join(result, reduce_run<Op, T>(x + runs.at[0] + first * step, n, step, shift));
    at += n;
  }
  return result;
}

// Joins rows of n neighbouring columns, given by pointers, to result[0..n). shift: [n] or null.
template <class Op, class T>
void join_rows(const T* const* rows, int64_t count, int64_t n, int64_t step, const T* shift,
               typename Op::Result* result) {
  using Result = typename Op::Result;
  using Element = typename Op::Element;
  int64_t j = 0;
  if constexpr (Op::kVector) {
    constexpr int64_t w = Simd<T>::kWidth;
    if (step == 1 && count == 8) {
      for (; j + w <= n; j += w) {
        const typename Simd<T>::Vec s = Op::kShifted ? Simd<T>::load(shift + j) : typename Simd<T>::Vec{};
        typename Simd<T>::Vec v[8];
        for (int r = 0; r < 8; ++r) v[r] = Op::map(Simd<T>::load(rows[r] + j), s);
        v[0] = Op::join(Op::join(Op::join(v[0], v[1]), Op::join(v[2], v[3])),
                        Op::join(Op::join(v[4], v[5]), Op::join(v[6], v[7])));
        typedef Result Wider __attribute__((vector_size(w * sizeof(Result))));
        Wider sums;
        __builtin_memcpy(&sums, result + j, sizeof sums);
        sums = Op::join(sums, __builtin_convertvector(v[0], Wider));
        __builtin_memcpy(result + j, &sums, sizeof sums);
      }
    }
  }
  for (int64_t r = 0; r < count; ++r)
    for (int64_t k = j; k < n; ++k)
      result[k] = Op::join(result[k], Op::map(static_cast<Element>(rows[r][k * step]),
                                              Op::kShifted ? static_cast<Element>(shift[k]) : Element(0)));
}

// Rows [begin, end) of the n <= kReduceTile columns at x, into result[0..n). Narrow rows that lie side by side are
// taken several at a time, as one row of up to kReduceTile elements; shift is repeated to match.
template <class Op, class T>
void reduce_columns(const ReducePlan& p, const T* x, int64_t begin, int64_t end, int64_t n, T* shift,
                    typename Op::Result* result) {
  using Result = typename Op::Result;
  const int64_t step = p.kept_stride[0];
  Result wide[kReduceTile];
  const T* rows[8] = {};
  const bool side_by_side = step == 1 && p.reduced_axes == 1 && p.reduced_stride[0] == n;
  const int64_t fold = side_by_side ? kReduceTile / n : 1;
  for (int64_t k = 0; k < fold * n; ++k) wide[k] = Op::kStart;
  if (fold > 1) {
    if (Op::kShifted)
      for (int64_t k = n; k < fold * n; ++k) shift[k] = shift[k - n];
    int64_t count = 0;
    for (; end - begin >= fold; begin += fold) {
      rows[count++] = x + begin * n;
      if (count == 8) join_rows<Op, T>(rows, 8, fold * n, 1, shift, wide), count = 0;
    }
    join_rows<Op, T>(rows, count, fold * n, 1, shift, wide);
    for (int64_t k = n; k < fold * n; ++k) wide[k % n] = Op::join(wide[k % n], wide[k]);
  }
  Walk<1> walk{p.reduced_axes, p.reduced_size, {p.reduced_stride}};
  walk.seek(begin);
  int64_t count = 0;
  for (; begin < end; ++begin, walk.next()) {
    rows[count++] = x + walk.at[0];
    if (count == 8) join_rows<Op, T>(rows, 8, n, step, shift, wide), count = 0;
  }
  join_rows<Op, T>(rows, count, n, step, shift, wide);
  for (int64_t k = 0; k < n; ++k) result[k] = wide[k];
}

// Runs a whole reduction; finish(result, offset in out) gives what is stored.
template <class Op, class T, class O, class Finish>
void run_reduction(const ReducePlan& p, const T* x, const T* shift, O* out, void* memory, const Finish& finish) {
  using Result = typename Op::Result;
  Result* partial = static_cast<Result*>(memory);
  if (p.kept == 0) return;
  if (p.reduced == 0) {
    Walk<1> to{p.kept_axes, p.kept_size, {p.out_stride}};
    for (int64_t o = 0; o < p.kept; ++o, to.next()) out[to.at[0]] = finish(Op::kStart, to.at[0]);
    return;
  }
  const auto part_end = [&](int64_t part) { return (part + 1) * p.part < p.reduced ? (part + 1) * p.part : p.reduced; };
  const int64_t work = p.part * (p.columns ? p.tile : 1);
  const int64_t at_once = chunk_items(work);
  if (!p.columns) {
    parallel_for(p.kept * p.parts, at_once, [&](int64_t begin, int64_t end) {
      Walk<2> to{p.kept_axes, p.kept_size, {p.kept_stride, p.out_stride}};
      to.seek(begin / p.parts);
      int64_t o = begin / p.parts, part = begin % p.parts;
      for (int64_t i = begin; i < end; ++i) {
        const T s = Op::kShifted ? shift[to.at[1]] : T(0);
        const Result result = reduce_positions<Op, T>(p, x + to.at[0], part * p.part, part_end(part), s);
        if (p.parts == 1)
          out[to.at[1]] = finish(result, to.at[1]);
        else
          partial[part * p.kept + o] = result;
        if (++part == p.parts) part = 0, ++o, to.next();
      }
    });
  } else {
    const int64_t inner = p.kept_size[0], tiles = (inner + p.tile - 1) / p.tile;
    parallel_for(p.kept / inner * tiles * p.parts, at_once, [&](int64_t begin, int64_t end) {
      Walk<2> outer{p.kept_axes - 1, p.kept_size + 1, {p.kept_stride + 1, p.out_stride + 1}};
      Result result[kReduceTile];
      T shifts[Op::kShifted ? kReduceTile : 1];
      for (int64_t i = begin; i < end; ++i) {
        const int64_t part = i % p.parts, tile = i / p.parts % tiles, at = i / p.parts / tiles;
        outer.seek(at);
        const int64_t first = tile * p.tile, n = inner - first < p.tile ? inner - first : p.tile;
        const auto place = [&](int64_t k) { return outer.at[1] + (first + k) * p.out_stride[0]; };
        if constexpr (Op::kShifted)
          for (int64_t k = 0; k < n; ++k) shifts[k] = shift[place(k)];
        reduce_columns<Op, T>(p, x + outer.at[0] + first * p.kept_stride[0], part * p.part, part_end(part), n, shifts,
                              result);
        for (int64_t k = 0; k < n; ++k) {
          if (p.parts == 1)
            out[place(k)] = finish(result[k], place(k));
          else
            partial[part * p.kept + at * inner + first + k] = result[k];
        }
      }
    });
  }
  if (p.parts == 1) return;
  parallel_for(p.kept, chunk_items(p.parts), [&](int64_t begin, int64_t end) {
    Walk<1> to{p.kept_axes, p.kept_size, {p.out_stride}};
    to.seek(begin);
    for (int64_t o = begin; o < end; ++o, to.next()) {
      Result result = partial[o];
      for (int64_t part = 1; part < p.parts; ++part) result = Op::join(result, partial[part * p.kept + o]);
      out[to.at[0]] = finish(result, to.at[0]);
    }
  });
}

}  // namespace
}  // namespace tern::kernels::TERN_ISA
