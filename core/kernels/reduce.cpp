#include <tern/core/kernels/reduce.h>
#include <tern/core/kernels/simd.h>
#include <tern/core/kernels/walk.h>

namespace tern::kernels::TERN_ISA {
namespace {

// A reduction is described by a struct: Wide is what partial results are kept in; start is the result over nothing;
// map turns an element (or a vector of them) into a term; join joins two terms; widen joins a term to a result.
template <class T>
struct AddUp {
  using Wide = Sum<T>;
  static constexpr bool kVector = Wide(0.5) != Wide(0);  // floats go through vectors, integers through plain loops
  static constexpr T kStart = 0;
  static constexpr Wide kWideStart = 0;
  template <class V>
  static V map(V x) {
    return x;
  }
  template <class V>
  static V join(V a, V b) {
    return a + b;
  }
};

// One run of n elements. Floats: four vectors of lanes a block of elements, then the lanes in order, in Wide.
template <class Op, class T>
typename Op::Wide reduce_run(const T* x, int64_t n, int64_t step) {
  using Wide = typename Op::Wide;
  Wide result = Op::kWideStart;
  int64_t i = 0;
  if constexpr (Op::kVector) {
    using S = Simd<T>;
    constexpr int W = S::kWidth;
    constexpr int64_t kBlock = 128 * W;
    if (step == 1) {
      while (n - i >= W) {
        const int64_t end = n - i < kBlock ? n : i + kBlock;
        typename S::Vec a = Op::kStart - typename S::Vec{}, b = a, c = a, d = a;
        for (; i + 4 * W <= end; i += 4 * W) {
          a = Op::join(a, Op::map(S::load(x + i)));
          b = Op::join(b, Op::map(S::load(x + i + W)));
          c = Op::join(c, Op::map(S::load(x + i + 2 * W)));
          d = Op::join(d, Op::map(S::load(x + i + 3 * W)));
        }
        for (; i + W <= end; i += W) a = Op::join(a, Op::map(S::load(x + i)));
        a = Op::join(Op::join(a, b), Op::join(c, d));
        for (int l = 0; l < W; ++l) result = Op::join(result, static_cast<Wide>(a[l]));
      }
    }
  }
  for (; i < n; ++i) result = Op::join(result, Op::map(static_cast<Wide>(x[i * step])));
  return result;
}

// The reduced positions [begin, end) of one output, in runs along the innermost reduced axis.
template <class Op, class T>
typename Op::Wide reduce_positions(const ReducePlan& p, const T* x, int64_t begin, int64_t end) {
  if (p.reduced_axes <= 1) {
    const int64_t step = p.reduced_axes == 0 ? 0 : p.reduced_stride[0];
    return reduce_run<Op, T>(x + begin * step, end - begin, step);
  }
  const int64_t inner = p.reduced_size[0], step = p.reduced_stride[0];
  Walk<1> runs{p.reduced_axes - 1, p.reduced_size + 1, {p.reduced_stride + 1}};
  runs.seek(begin / inner);
  typename Op::Wide result = Op::kWideStart;
  for (int64_t at = begin, first = begin % inner; at < end; first = 0, runs.next()) {
    const int64_t n = inner - first < end - at ? inner - first : end - at;
    result = Op::join(result, reduce_run<Op, T>(x + runs.at[0] + first * step, n, step));
    at += n;
  }
  return result;
}

// result[0..n) = the reduction of `count` rows of n neighbouring elements each, given by pointers; joined to result.
template <class Op, class T>
void join_rows(const T* const* rows, int64_t count, int64_t n, int64_t step, typename Op::Wide* result) {
  using Wide = typename Op::Wide;
  int64_t j = 0;
  if constexpr (Op::kVector) {
    using S = Simd<T>;
    constexpr int W = S::kWidth;
    if (step == 1 && count == 8) {
      for (; j + W <= n; j += W) {
        typename S::Vec v[8];
        for (int r = 0; r < 8; ++r) v[r] = Op::map(S::load(rows[r] + j));
        v[0] = Op::join(Op::join(Op::join(v[0], v[1]), Op::join(v[2], v[3])),
                        Op::join(Op::join(v[4], v[5]), Op::join(v[6], v[7])));
        for (int l = 0; l < W; ++l) result[j + l] = Op::join(result[j + l], static_cast<Wide>(v[0][l]));
      }
    }
  }
  for (int64_t r = 0; r < count; ++r)
    for (int64_t k = j; k < n; ++k) result[k] = Op::join(result[k], Op::map(static_cast<Wide>(rows[r][k * step])));
}

// Rows [begin, end) of the n <= kReduceTile columns at x, into result[0..n). Narrow rows that lie side by side are
// taken several at a time, as one row of up to kReduceTile elements.
template <class Op, class T>
void reduce_columns(const ReducePlan& p, const T* x, int64_t begin, int64_t end, int64_t n, typename Op::Wide* result) {
  using Wide = typename Op::Wide;
  const int64_t step = p.kept_stride[0];
  Wide wide[kReduceTile];
  const T* rows[8];
  const bool side_by_side = step == 1 && p.reduced_axes == 1 && p.reduced_stride[0] == n;
  const int64_t fold = side_by_side ? kReduceTile / n : 1;
  for (int64_t k = 0; k < fold * n; ++k) wide[k] = Op::kWideStart;
  if (fold > 1) {
    int64_t count = 0;
    for (; end - begin >= fold; begin += fold) {
      rows[count++] = x + begin * n;
      if (count == 8) join_rows<Op, T>(rows, 8, fold * n, 1, wide), count = 0;
    }
    join_rows<Op, T>(rows, count, fold * n, 1, wide);
    for (int64_t k = n; k < fold * n; ++k) wide[k % n] = Op::join(wide[k % n], wide[k]);
  }
  Walk<1> walk{p.reduced_axes, p.reduced_size, {p.reduced_stride}};
  walk.seek(begin);
  int64_t count = 0;
  for (; begin < end; ++begin, walk.next()) {
    rows[count++] = x + walk.at[0];
    if (count == 8) join_rows<Op, T>(rows, 8, n, step, wide), count = 0;
  }
  join_rows<Op, T>(rows, count, n, step, wide);
  for (int64_t k = 0; k < n; ++k) result[k] = wide[k];
}

// Runs a whole reduction; finish(result, output position) gives what is stored.
template <class Op, class T, class O, class Finish>
void reduce(const ReducePlan& p, const T* x, O* out, typename Op::Wide* partial, const Finish& finish) {
  using Wide = typename Op::Wide;
  if (p.kept == 0) return;
  const auto part_end = [&](int64_t part) { return (part + 1) * p.part < p.reduced ? (part + 1) * p.part : p.reduced; };
  if (p.reduced == 0) {
    Walk<1> to{p.kept_axes, p.kept_size, {p.out_stride}};
    to.seek(0);
    for (int64_t o = 0; o < p.kept; ++o, to.next()) out[to.at[0]] = finish(Op::kWideStart, o);
    return;
  }
  if (!p.columns) {
    const int64_t at_once = kElementwiseGrain / p.part > 1 ? kElementwiseGrain / p.part : 1;
    parallel_for(p.kept * p.parts, at_once, [&](int64_t begin, int64_t end) {
      Walk<2> to{p.kept_axes, p.kept_size, {p.kept_stride, p.out_stride}};
      to.seek(begin / p.parts);
      int64_t o = begin / p.parts, part = begin % p.parts;
      for (int64_t i = begin; i < end; ++i) {
        const Wide result = reduce_positions<Op, T>(p, x + to.at[0], part * p.part, part_end(part));
        if (p.parts == 1)
          out[to.at[1]] = finish(result, o);
        else
          partial[part * p.kept + o] = result;
        if (++part == p.parts) part = 0, ++o, to.next();
      }
    });
  } else {
    const int64_t inner = p.kept_size[0], tiles = (inner + p.tile - 1) / p.tile;
    const int64_t work = p.part * p.tile;
    const int64_t at_once = kElementwiseGrain / work > 1 ? kElementwiseGrain / work : 1;
    parallel_for(p.kept / inner * tiles * p.parts, at_once, [&](int64_t begin, int64_t end) {
      Walk<2> outer{p.kept_axes - 1, p.kept_size + 1, {p.kept_stride + 1, p.out_stride + 1}};
      Wide result[kReduceTile];
      for (int64_t i = begin; i < end; ++i) {
        const int64_t part = i % p.parts, tile = i / p.parts % tiles, at = i / p.parts / tiles;
        outer.seek(at);
        const int64_t first = tile * p.tile, n = inner - first < p.tile ? inner - first : p.tile;
        reduce_columns<Op, T>(p, x + outer.at[0] + first * p.kept_stride[0], part * p.part, part_end(part), n, result);
        const int64_t o = at * inner + first;
        for (int64_t k = 0; k < n; ++k) {
          if (p.parts == 1)
            out[outer.at[1] + (first + k) * p.out_stride[0]] = finish(result[k], o + k);
          else
            partial[part * p.kept + o + k] = result[k];
        }
      }
    });
  }
  if (p.parts == 1) return;
  parallel_for(p.kept, kElementwiseGrain / p.parts > 1 ? kElementwiseGrain / p.parts : 1,
               [&](int64_t begin, int64_t end) {
                 Walk<1> to{p.kept_axes, p.kept_size, {p.out_stride}};
                 to.seek(begin);
                 for (int64_t o = begin; o < end; ++o, to.next()) {
                   Wide result = partial[o];
                   for (int64_t part = 1; part < p.parts; ++part) result = Op::join(result, partial[part * p.kept + o]);
                   out[to.at[0]] = finish(result, o);
                 }
               });
}

}  // namespace

template <class T, class O>
void reduce_sum(const ReducePlan& plan, const T* x, O* out, double divisor, Sum<T>* partial) {
  reduce<AddUp<T>, T>(plan, x, out, partial, [=](Sum<T> total, int64_t) {
    if constexpr (AddUp<T>::kVector)
      return static_cast<O>(total / divisor);
    else
      return static_cast<O>(total);
  });
}

template void reduce_sum(const ReducePlan&, const float*, float*, double, double*);
template void reduce_sum(const ReducePlan&, const double*, double*, double, double*);
template void reduce_sum(const ReducePlan&, const int64_t*, int64_t*, double, int64_t*);
template void reduce_sum(const ReducePlan&, const int32_t*, int64_t*, double, int64_t*);
template void reduce_sum(const ReducePlan&, const int8_t*, int64_t*, double, int64_t*);
template void reduce_sum(const ReducePlan&, const uint8_t*, int64_t*, double, int64_t*);

}  // namespace tern::kernels::TERN_ISA
