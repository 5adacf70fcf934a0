#include <tern/core/kernels/detail/vec_math.h>
#include <tern/core/kernels/loss.h>

namespace tern::kernels::TERN_ISA {
namespace {

template <class T>
T magnitude(T v) {
  return v < T(0) ? -v : v;
}
template <class T>
T sign(T v) {
  return v > T(0) ? T(1) : v < T(0) ? T(-1) : v;  // 0 and NaN stay themselves
}

// Each loss: its value, and its derivatives by x and by t. i is the element, for weights.
template <class T>
struct Squared {
  const PairLossInputs<T> in;
  T value(T x, T t, int64_t) const { return (x - t) * (x - t); }
  T by_x(T x, T t, int64_t) const { return 2 * (x - t); }
  T by_t(T x, T t, int64_t) const { return 2 * (t - x); }
};

template <class T>
struct Absolute {
  const PairLossInputs<T> in;
  T value(T x, T t, int64_t) const { return magnitude(x - t); }
  T by_x(T x, T t, int64_t) const { return x > t ? T(1) : x < t ? T(-1) : T(0); }  // 0 for NaN
  T by_t(T x, T t, int64_t i) const { return -by_x(x, t, i); }
};

template <class T>
struct Huber {
  const PairLossInputs<T> in;
  T value(T x, T t, int64_t) const {
    const T d = magnitude(x - t), edge = in.parameter;
    return d < edge ? d * d / 2 : edge * (d - edge / 2);
  }
  T by_x(T x, T t, int64_t) const {
    const T d = x - t, edge = in.parameter;
    return magnitude(d) < edge ? d : edge * sign(d);
  }
  T by_t(T x, T t, int64_t i) const { return -by_x(x, t, i); }
};

template <class T>
struct SmoothL1 {
  const PairLossInputs<T> in;
  T value(T x, T t, int64_t) const {
    const T d = magnitude(x - t), edge = in.parameter;
    return d < edge ? d * d / (2 * edge) : d - edge / 2;
  }
  T by_x(T x, T t, int64_t) const {
    const T d = x - t, edge = in.parameter;
    return magnitude(d) < edge ? d / edge : sign(d);
  }
  T by_t(T x, T t, int64_t i) const { return -by_x(x, t, i); }
};

template <class T>
T softplus_of_minus(T x) {
  return vec::log1p(vec::exp(-magnitude(x))) + (x < T(0) ? -x : T(0));
}
template <class T>
T sigmoid_of_minus(T x) {
  const T e = vec::exp(-magnitude(x));
  return x < T(0) ? 1 / (1 + e) : e / (1 + e);
}

template <class T>
struct BceLogits {
  const PairLossInputs<T> in;
  T w(int64_t i) const { return in.w == nullptr ? T(1) : in.w[i]; }
  T p(int64_t i) const { return in.p == nullptr ? T(1) : in.p[i]; }
  T value(T x, T t, int64_t i) const { return w(i) * ((1 - t) * x + (1 + (p(i) - 1) * t) * softplus_of_minus(x)); }
  T by_x(T x, T t, int64_t i) const { return w(i) * ((1 - t) - (1 + (p(i) - 1) * t) * sigmoid_of_minus(x)); }
  T by_t(T x, T, int64_t i) const { return w(i) * ((p(i) - 1) * softplus_of_minus(x) - x); }
};

template <class T>
struct Bce {
  const PairLossInputs<T> in;
  static T bounded(T logarithm) { return logarithm < T(-100) ? T(-100) : logarithm; }
  T w(int64_t i) const { return in.w == nullptr ? T(1) : in.w[i]; }
  T value(T x, T t, int64_t i) const { return w(i) * ((t - 1) * bounded(vec::log1p(-x)) - t * bounded(vec::log(x))); }
  T by_x(T x, T t, int64_t i) const {
    const T variance = (1 - x) * x;
    constexpr T kMin = T(1e-12f);  // PyTorch's, of single precision in f64 too
    return w(i) * ((x - t) / (variance < kMin ? kMin : variance));
  }
  T by_t(T x, T, int64_t i) const { return w(i) * (bounded(vec::log1p(-x)) - bounded(vec::log(x))); }
};

template <class T>
struct SoftMargin {
  const PairLossInputs<T> in;
  T value(T x, T t, int64_t) const { return softplus_of_minus(t * x); }
  T by_x(T x, T t, int64_t) const { return -t * sigmoid_of_minus(t * x); }
  T by_t(T x, T t, int64_t) const { return -x * sigmoid_of_minus(t * x); }
};

template <class T>
struct Hinge {
  const PairLossInputs<T> in;
  T value(T x, T t, int64_t) const {
    const T rest = in.parameter - x;
    return (t != T(-1) ? x : T(0)) + (t != T(1) ? (rest < T(0) ? T(0) : rest) : T(0));
  }
  T by_x(T x, T t, int64_t) const {
    return (t != T(-1) ? T(1) : T(0)) - (t != T(1) && in.parameter - x >= T(0) ? T(1) : T(0));
  }
  T by_t(T, T, int64_t) const { return T(0); }
};

template <class T>
struct Kl {
  const PairLossInputs<T> in;
  T value(T x, T t, int64_t) const { return t == T(0) ? -t * x : t * (vec::log(t) - x); }
  T by_x(T, T t, int64_t) const { return -t; }
  T by_t(T x, T t, int64_t) const { return vec::log(t) + 1 - x; }
};

template <class T>
struct KlLog {
  const PairLossInputs<T> in;
  T value(T x, T t, int64_t) const { return vec::exp(t) * (t - x); }
  T by_x(T, T t, int64_t) const { return -vec::exp(t); }
  T by_t(T x, T t, int64_t) const { return vec::exp(t) * (t - x + 1); }
};

template <class T, class Body>
void with_loss(PairLoss kind, const PairLossInputs<T>& in, const Body& body) {
  switch (kind) {
    case PairLoss::kSquared:
      return body(Squared<T>{in});
    case PairLoss::kAbsolute:
      return body(Absolute<T>{in});
    case PairLoss::kHuber:
      return body(Huber<T>{in});
    case PairLoss::kSmoothL1:
      return body(SmoothL1<T>{in});
    case PairLoss::kBceLogits:
      return body(BceLogits<T>{in});
    case PairLoss::kBce:
      return body(Bce<T>{in});
    case PairLoss::kSoftMargin:
      return body(SoftMargin<T>{in});
    case PairLoss::kHinge:
      return body(Hinge<T>{in});
    case PairLoss::kKl:
      return body(Kl<T>{in});
    case PairLoss::kKlLog:
      return body(KlLog<T>{in});
  }
}

}  // namespace

template <class T>
void pair_loss(PairLoss kind, const PairLossInputs<T>& in, T* out) {
  with_loss(kind, in, [&](const auto loss) {
    const T *x = in.x, *t = in.t;
    parallel_for(in.n, kElementwiseGrain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = loss.value(x[i], t[i], i);
    });
  });
}

template <class T>
void pair_loss_sum(PairLoss kind, const PairLossInputs<T>& in, double* partial) {
  with_loss(kind, in, [&](const auto loss) {
    const T *x = in.x, *t = in.t;
    parallel_for(in.n, kPairLossPart, [=](int64_t begin, int64_t end) {
      constexpr int64_t kBlock = 256;
      T values[kBlock];  // computed in one loop, added up in f64 in another
      double lanes[8] = {};
      for (int64_t first = begin; first < end; first += kBlock) {
        const int64_t n = end - first < kBlock ? end - first : kBlock;
        for (int64_t k = 0; k < n; ++k) values[k] = loss.value(x[first + k], t[first + k], first + k);
        for (int64_t k = n; k < kBlock; ++k) values[k] = 0;
        for (int64_t k = 0; k < kBlock; k += 8)
          for (int64_t l = 0; l < 8; ++l) lanes[l] += static_cast<double>(values[k + l]);
      }
      partial[begin / kPairLossPart] =
          ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
    });
  });
}

template <class T>
void pair_loss_backward(PairLoss kind, const PairLossInputs<T>& in, const T* dout, T scale, T* dx, T* dt) {
  with_loss(kind, in, [&](const auto loss) {
    const T *x = in.x, *t = in.t;
    parallel_for(in.n, kElementwiseGrain, [=](int64_t begin, int64_t end) {
      if (dx != nullptr)
        for (int64_t i = begin; i < end; ++i) dx[i] = scale * loss.by_x(x[i], t[i], i);
      if (dt != nullptr)
        for (int64_t i = begin; i < end; ++i) dt[i] = scale * loss.by_t(x[i], t[i], i);
      if (dout == nullptr) return;
      if (dx != nullptr)
        for (int64_t i = begin; i < end; ++i) dx[i] *= dout[i];
      if (dt != nullptr)
        for (int64_t i = begin; i < end; ++i) dt[i] *= dout[i];
    });
  });
}

#define INSTANTIATE(T)                                                      \
  template void pair_loss(PairLoss, const PairLossInputs<T>&, T*);          \
  template void pair_loss_sum(PairLoss, const PairLossInputs<T>&, double*); \
  template void pair_loss_backward(PairLoss, const PairLossInputs<T>&, const T*, T, T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
