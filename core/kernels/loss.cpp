#include <tern/core/kernels/loss.h>

namespace tern::kernels::TERN_ISA {
namespace {

float log_of(float v) {
  return __builtin_logf(v);
}
double log_of(double v) {
  return __builtin_log(v);
}
float exp_of(float v) {
  return __builtin_expf(v);
}
double exp_of(double v) {
  return __builtin_exp(v);
}
float log1p_of(float v) {
  return __builtin_log1pf(v);
}
double log1p_of(double v) {
  return __builtin_log1p(v);
}

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
  const PairLossInputs<T>& in;
  T value(T x, T t, int64_t) const { return (x - t) * (x - t); }
  T by_x(T x, T t, int64_t) const { return 2 * (x - t); }
  T by_t(T x, T t, int64_t) const { return 2 * (t - x); }
};

template <class T>
struct Absolute {
  const PairLossInputs<T>& in;
  T value(T x, T t, int64_t) const { return magnitude(x - t); }
  T by_x(T x, T t, int64_t) const { return sign(x - t); }
  T by_t(T x, T t, int64_t) const { return sign(t - x); }
};

template <class T>
struct Huber {
  const PairLossInputs<T>& in;
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
  const PairLossInputs<T>& in;
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
struct BceLogits {
  const PairLossInputs<T>& in;
  T w(int64_t i) const { return in.w == nullptr ? T(1) : in.w[i]; }
  T p(int64_t i) const { return in.p == nullptr ? T(1) : in.p[i]; }
  static T softplus_of_minus(T x) { return log1p_of(exp_of(-magnitude(x))) + (x < T(0) ? -x : T(0)); }
  static T sigmoid_of_minus(T x) {
    const T e = exp_of(-magnitude(x));
    return x < T(0) ? 1 / (1 + e) : e / (1 + e);
  }
  T value(T x, T t, int64_t i) const { return w(i) * ((1 - t) * x + (1 + (p(i) - 1) * t) * softplus_of_minus(x)); }
  T by_x(T x, T t, int64_t i) const { return w(i) * ((1 - t) - (1 + (p(i) - 1) * t) * sigmoid_of_minus(x)); }
  T by_t(T x, T, int64_t i) const { return w(i) * ((p(i) - 1) * softplus_of_minus(x) - x); }
};

template <class T>
struct Kl {
  const PairLossInputs<T>& in;
  T value(T x, T t, int64_t) const { return t == T(0) ? -t * x : t * (log_of(t) - x); }
  T by_x(T, T t, int64_t) const { return -t; }
  T by_t(T x, T t, int64_t) const { return log_of(t) + 1 - x; }
};

template <class T>
struct KlLog {
  const PairLossInputs<T>& in;
  T value(T x, T t, int64_t) const { return exp_of(t) * (t - x); }
  T by_x(T, T t, int64_t) const { return -exp_of(t); }
  T by_t(T x, T t, int64_t) const { return exp_of(t) * (t - x + 1); }
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
    parallel_for(in.n, kElementwiseGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = loss.value(in.x[i], in.t[i], i);
    });
  });
}

template <class T>
void pair_loss_sum(PairLoss kind, const PairLossInputs<T>& in, double* partial) {
  with_loss(kind, in, [&](const auto loss) {
    parallel_for(in.n, kPairLossPart, [&](int64_t begin, int64_t end) {
      double lanes[8] = {};  // element i goes to lane i % 8
      int64_t i = begin;
      for (; i + 8 <= end; i += 8)
        for (int64_t l = 0; l < 8; ++l) lanes[l] += static_cast<double>(loss.value(in.x[i + l], in.t[i + l], i + l));
      for (; i < end; ++i) lanes[0] += static_cast<double>(loss.value(in.x[i], in.t[i], i));
      partial[begin / kPairLossPart] =
          ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
    });
  });
}

template <class T>
void pair_loss_backward(PairLoss kind, const PairLossInputs<T>& in, const T* dout, T scale, T* dx, T* dt) {
  with_loss(kind, in, [&](const auto loss) {
    parallel_for(in.n, kElementwiseGrain, [&](int64_t begin, int64_t end) {
      const auto g = [&](int64_t i) { return dout == nullptr ? scale : scale * dout[i]; };
      if (dx != nullptr)
        for (int64_t i = begin; i < end; ++i) dx[i] = g(i) * loss.by_x(in.x[i], in.t[i], i);
      if (dt != nullptr)
        for (int64_t i = begin; i < end; ++i) dt[i] = g(i) * loss.by_t(in.x[i], in.t[i], i);
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
