"""Every op at the edges of its domain: zero deviation, zero norm, ties, infinities, NaN, empty and one-element axes.

Other than in the other families, values and gradients may be anything here, and a case may record that PyTorch refuses its
inputs ("raises"). A case says "f32" where PyTorch has NaN and infinities in the same places in single precision, so that they
can be expected of an f32 run too. To cover another op, add it to the list of its kind, or add a case; its family in
tests/op_table says how it is run.
"""
import math
import warnings

import torch
import torch.nn.functional as F

from opcases import Family

NAN, INF = float("nan"), float("inf")
warnings.filterwarnings("ignore")

# One of everything; pairs() has each beside each.
ONE_OF_EACH = [NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 3.0]
# Kinks, bounds and where functions saturate.
ELEMENTS = ONE_OF_EACH + [-0.5, 1.5, 2.5, -3.0, 6.0, 20.0, -20.0, 20.5, 40.0, -40.0, 100.0, -100.0]
# Beyond single precision.
EXTREMES = [1e-310, -1e-310, 5e-324, 1e300, -1e300, 709.9, -709.9, 746.0, -746.0, 1e6, -1e6, 1e-170, -1e-170, 1e170]

# Rows for reductions, by what is odd about them.
ROWS = {
    "equal": [3.0, 3.0, 3.0], "zeros": [0.0, 0.0, 0.0], "signed_zeros": [-0.0, 0.0, -0.0], "negative_zeros": [-0.0, -0.0, -0.0],
    "tie": [1.0, 3.0, 3.0], "low_tie": [-2.0, 2.0, -2.0], "nan": [1.0, NAN, 2.0], "nans": [NAN, 1.0, NAN], "only_nan": [NAN, NAN, NAN],
    "inf": [1.0, INF, 2.0], "infs": [INF, 1.0, INF], "minus_inf": [-INF, 1.0, 2.0], "both_infs": [INF, -INF, 0.0],
    "only_minus_inf": [-INF, -INF, -INF], "only_inf": [INF, INF, INF], "nan_inf": [NAN, INF, -INF], "one_zero": [2.0, 0.0, 3.0],
    "two_zeros": [0.0, 2.0, 0.0], "zero_inf": [0.0, INF, 1.0], "wide": [-900.0, 900.0, 899.0],
}


class Edges(Family):
    def __init__(self):
        super().__init__("edges")

    def add(self, case, op, fn, inputs, **settings):
        if not self._accepts(fn, inputs):
            self._record_refusal(case, op, inputs, settings)
            return
        super().add(case, op, fn, inputs, f32=self._same_in_f32(fn, inputs, settings), **settings)

    def values(self, case, op, fn, inputs, **settings):
        """A case without gradients."""
        self.add(case, op, fn, inputs, backward=False, **settings)

    @staticmethod
    def _accepts(fn, inputs):
        try:
            fn(*inputs.values())
            return True
        except (RuntimeError, IndexError, ValueError):
            return False

    def _record_refusal(self, case, op, inputs, settings):
        import json
        given = {k: v for k, v in inputs.items() if v is not None}
        attributes = {k: v for k, v in settings.items() if k not in ("no_grad", "backward", "upstream")}
        for i, value in enumerate(given.values()):
            self._put(f"{case}/in{i}", value)
        self.metadata[case] = json.dumps({"op": op, "inputs": list(given), "raises": True, **attributes}, allow_nan=False)

    def _same_in_f32(self, fn, inputs, settings):
        """Whether f32 has numbers, infinities and NaN where f64 has them, and numbers that agree to six digits."""

        def run(dtype):
            leaves = [v if v is None or not v.is_floating_point()
                      else v.detach().to(dtype).requires_grad_(settings.get("backward", True) and k not in settings.get("no_grad", ()))
                      for k, v in inputs.items()]
            result = fn(*leaves)
            outputs, extras = result if isinstance(result, tuple) else (result, {})
            outputs = list(outputs) if isinstance(outputs, list) else [outputs]
            found = [out.detach() for out in outputs] + list(extras.values())
            wanted = [x for x in leaves if x is not None and x.requires_grad]
            if wanted:
                upstream = settings.get("upstream")
                firsts = [torch.full_like(out, 0.7 if upstream is None else upstream) for out in outputs]
                found += [torch.zeros(()) if g is None else g for g in torch.autograd.grad(outputs, wanted, firsts, allow_unused=True)]
            return [x.double() for x in found]

        try:
            return all(torch.allclose(a, b, rtol=2e-6, atol=1e-6, equal_nan=True) for a, b in zip(run(torch.float32), run(torch.float64)))
        except RuntimeError:
            return False


def numbers(values):
    return torch.tensor(values, dtype=torch.float64)


def pairs(values=ONE_OF_EACH):
    a, b = torch.meshgrid(numbers(values), numbers(values), indexing="ij")
    return a.reshape(-1).contiguous(), b.reshape(-1).contiguous()


def name_of(number):
    return str(number).replace(".", "p").replace("-", "m")


def elementwise(f):
    unary = {
        "neg": torch.neg, "abs": torch.abs, "sign": torch.sign, "square": torch.square, "exp": torch.exp, "expm1": torch.expm1,
        "log": torch.log, "log2": torch.log2, "log1p": torch.log1p, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt,
        "reciprocal": torch.reciprocal, "sin": torch.sin, "cos": torch.cos, "atan": torch.atan, "erf": torch.erf, "floor": torch.floor,
        "ceil": torch.ceil, "trunc": torch.trunc, "round": torch.round, "relu": F.relu, "relu6": F.relu6, "sigmoid": torch.sigmoid,
        "logsigmoid": F.logsigmoid, "tanh": torch.tanh, "silu": F.silu, "hardsigmoid": F.hardsigmoid, "hardswish": F.hardswish,
    }
    settings = {
        "leaky_relu": (F.leaky_relu, {"negative_slope": 0.01}), "elu": (F.elu, {"alpha": 1.0}),
        "gelu_erf": (F.gelu, {"approximate": "none"}), "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), {"approximate": "tanh"}),
        "softplus": (F.softplus, {"beta": 1.0, "threshold": 20.0}),
        "softplus_negative_beta": (lambda x: F.softplus(x, -1.0, 20.0), {"beta": -1.0, "threshold": 20.0}),
    }
    table = {name: (name, fn, {}) for name, fn in unary.items()}
    table.update({name: (name.split("_erf")[0].split("_tanh")[0].split("_negative")[0], fn, a) for name, (fn, a) in settings.items()})
    for name, (op, fn, attributes) in table.items():
        # at 3 PyTorch's hardswish has one gradient in its vector code and another in what remains of a row
        elements = numbers([x for x in ELEMENTS if name != "hardswish" or x != 3.0])
        f.add(name + "_elements", op, fn, {"input": elements}, **attributes)
        f.add(name + "_zero_upstream", op, fn, {"input": elements}, upstream=0.0, **attributes)
        f.add(name + "_extremes", op, fn, {"input": numbers(EXTREMES)}, **attributes)
        f.add(name + "_empty", op, fn, {"input": torch.zeros(0, 3)}, **attributes)

    a, b = pairs()
    binary = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "maximum": torch.maximum, "minimum": torch.minimum,
              "pow": torch.pow}
    for op, fn in binary.items():
        f.add(op + "_pairs", op, fn, {"input": a, "other": b})
        f.add(op + "_zero_upstream", op, fn, {"input": a, "other": b}, upstream=0.0)
        f.add(op + "_empty", op, fn, {"input": torch.zeros(0, 3), "other": torch.ones(3)})
    for exponent in (0.0, 1.0, 2.0, 3.0, 4.0, -1.0, -2.0, -3.0, 0.5, -0.5, 1.7):
        for tag, upstream in (("", None), ("_zero_upstream", 0.0)):
            f.add(f"pow_scalar_{name_of(exponent)}{tag}", "pow_scalar", lambda x, e=exponent: x.pow(e), {"input": numbers(ELEMENTS)}, upstream=upstream,
                  exponent=exponent)
    for base in (0.0, 1.0, -1.0, 2.0, -2.0, 0.5):
        f.add(f"scalar_pow_{name_of(base)}", "scalar_pow", lambda y, b=base: torch.pow(b, y), {"exponent": numbers(ELEMENTS)}, base=base)
    for number in (0.0, -0.0, 2.0):
        tag = "negative_zero" if math.copysign(1, number) < 0 and number == 0 else name_of(number)
        f.add("div_scalar_" + tag, "div_scalar", lambda x, n=number: x / n, {"input": numbers(ELEMENTS)}, number=number)
        f.add("scalar_div_" + tag, "scalar_div", lambda x, n=number: n / x, {"input": numbers(ELEMENTS)}, number=number)
        f.add("mul_scalar_" + tag, "mul_scalar", lambda x, n=number: x * n, {"input": numbers(ELEMENTS)}, number=number)
        f.add("add_scalar_" + tag, "add_scalar", lambda x, n=number: x + n, {"input": numbers(ELEMENTS)}, number=number)
        f.add("scalar_sub_" + tag, "scalar_sub", lambda x, n=number: n - x, {"input": numbers(ELEMENTS)}, number=number)
    for tag, low, high in (("both", -1.0, 1.0), ("min", -1.0, None), ("max", None, 1.0), ("crossed", 1.0, -1.0), ("point", 0.0, 0.0), ("zero", 0.0, 6.0)):
        bounds = {k: v for k, v in (("min", low), ("max", high)) if v is not None}
        f.add("clamp_" + tag, "clamp", lambda x, b=bounds: x.clamp(**b), {"input": numbers(ELEMENTS)}, **bounds)
    condition = torch.tensor([True, False] * 61)[:121]
    f.add("where_pairs", "where", torch.where, {"condition": condition, "input": a, "other": b})
    f.add("masked_fill_elements", "masked_fill", lambda x, m: x.masked_fill(m, 1.5), {"input": a, "mask": condition}, value=1.5)

    compare = {"eq": torch.eq, "ne": torch.ne, "lt": torch.lt, "le": torch.le, "gt": torch.gt, "ge": torch.ge, "logical_and": torch.logical_and,
               "logical_or": torch.logical_or, "logical_xor": torch.logical_xor}
    for op, fn in compare.items():
        f.values(op + "_pairs", op, fn, {"input": a, "other": b})
    for op, fn in {"logical_not": torch.logical_not, "isnan": torch.isnan, "isinf": torch.isinf, "isfinite": torch.isfinite}.items():
        f.values(op + "_elements", op, fn, {"input": numbers(ELEMENTS + EXTREMES)})


def every_way():
    """All rows of ROWS as rows, as columns, and repeated to more than the width of any vector."""
    x = numbers(list(ROWS.values()))
    long = x.repeat(1, 23)[:, :-1].contiguous()
    yield "rows", x, 1
    yield "columns", x.t().contiguous(), 0
    yield "long_rows", long, 1
    yield "long_columns", long.t().contiguous(), 0


def with_indices(pair):
    return pair[0], {"indices": pair[1]}


def reductions(f):
    table = {
        "sum": lambda x, d: x.sum(d), "mean": lambda x, d: x.mean(d), "amax": torch.amax, "amin": torch.amin, "prod": lambda x, d: x.prod(d),
        "logsumexp": torch.logsumexp, "cumsum": lambda x, d: x.cumsum(d), "softmax": torch.softmax, "log_softmax": torch.log_softmax,
        "max_dim": lambda x, d: with_indices(x.max(d)), "min_dim": lambda x, d: with_indices(x.min(d)),
        "median": lambda x, d: x.median(d)[0],
    }
    plain = {op: [("", fn, {})] for op, fn in table.items()}
    for op, fn in (("var", torch.var), ("std", torch.std)):
        plain[op] = [("_unbiased" if u else "_biased", lambda x, d, u=u, fn=fn: fn(x, d, u), {"unbiased": u}) for u in (True, False)]
    plain["norm"] = [("_" + tag, lambda x, d, p=p: torch.linalg.vector_norm(x, p, d), {"p": tag}) for tag, p in (("1", 1), ("2", 2), ("inf", INF))]
    plain["sort"] = [("_" + tag, lambda x, d, r=r: with_indices(torch.sort(x, stable=True, dim=d, descending=r)), {"descending": r})
                     for tag, r in (("rising", False), ("falling", True))]
    plain["quantile"] = [(f"_{mode}_{name_of(q)}", lambda x, d, q=q, m=mode: x.quantile(q, d, interpolation=m), {"q": q, "interpolation": mode})
                         for mode in ("linear", "lower", "higher", "midpoint", "nearest") for q in (0.0, 0.3, 1.0)]
    no_gradient = {"argmax": torch.argmax, "argmin": torch.argmin, "any": lambda x, d: x.bool().any(d), "all": lambda x, d: x.bool().all(d),
                   "count_nonzero": torch.count_nonzero}

    def every(case, x, dim):
        for op, variants in plain.items():
            for tag, fn, attributes in variants:
                f.add(f"{op}{tag}_{case}", op, lambda x, fn=fn: fn(x, dim), {"input": x}, dim=dim, **attributes)
        for op, fn in no_gradient.items():
            f.values(f"{op}_{case}", op, lambda x, fn=fn: fn(x, dim), {"input": x}, dim=dim)

    for way, x, dim in every_way():
        every(way, x, dim)
    every("one_element", numbers([[3.0], [0.0], [-0.0], [NAN], [INF], [-INF]]), 1)
    every("one_element_columns", numbers([[3.0, 0.0, -0.0, NAN, INF, -INF]]), 0)
    for shape, dim in (([0], 0), ([0, 3], 0), ([3, 0], 1), ([0, 3], 1), ([2, 0, 3], 1), ([2, 0, 3], 0)):
        every(f"empty_{'x'.join(map(str, shape))}_{dim}", torch.zeros(shape), dim)
    every("scalar", torch.tensor(2.0), 0)
    for op, fn in {"max": torch.max, "min": torch.min}.items():
        for name, row in ROWS.items():
            f.add(f"{op}_all_{name}", op, fn, {"input": numbers(row)})
        f.add(f"{op}_all_empty", op, fn, {"input": torch.zeros(0)})
    for op, fn in {"argmax": torch.argmax, "argmin": torch.argmin}.items():
        for name, row in ROWS.items():
            f.values(f"{op}_all_{name}", op, fn, {"input": numbers(row)})
        f.values(f"{op}_all_empty", op, fn, {"input": torch.zeros(0)})
    for name in ("equal", "tie", "nan", "nans", "infs", "both_infs"):
        for largest in (True, False):
            for k in (0, 2, 3, 4):  # values alone: among equals PyTorch promises no order
                f.values(f"topk_{k}_{'largest' if largest else 'smallest'}_{name}", "topk_values", lambda x, k=k, l=largest: x.topk(k, 0, l, True)[0],
                         {"input": numbers(ROWS[name])}, k=k, dim=0, largest=largest)


def losses(f):
    a, b = pairs()
    share = numbers([0.0, 1.0, 0.5, NAN, -0.0, 0.25]).repeat_interleave(11)
    logits = numbers(ONE_OF_EACH).repeat(6)
    regression = {
        "mse_loss": (F.mse_loss, {}), "l1_loss": (F.l1_loss, {}),
        "smooth_l1_loss": (lambda x, t, reduction: F.smooth_l1_loss(x, t, reduction=reduction, beta=1.0), {"beta": 1.0}),
        "smooth_l1_loss_beta": (lambda x, t, reduction: F.smooth_l1_loss(x, t, reduction=reduction, beta=0.5), {"beta": 0.5}),
        "huber_loss": (lambda x, t, reduction: F.huber_loss(x, t, reduction=reduction, delta=1.0), {"delta": 1.0}),
        "huber_loss_delta": (lambda x, t, reduction: F.huber_loss(x, t, reduction=reduction, delta=0.5), {"delta": 0.5}),
    }
    for name, (fn, attributes) in regression.items():
        op = name.replace("_beta", "").replace("_delta", "")
        f.add(name + "_pairs", op, lambda x, t, fn=fn: fn(x, t, reduction="none"), {"input": a, "target": b}, reduction="none", **attributes)
        for reduction in ("mean", "sum"):
            f.add(f"{name}_equal_{reduction}", op, lambda x, t, fn=fn, r=reduction: fn(x, t, reduction=r), {"input": numbers([1.0, 0.0, 2.0]),
                  "target": numbers([1.0, 0.0, 1.0])}, reduction=reduction, **attributes)
            f.add(f"{name}_empty_{reduction}", op, lambda x, t, fn=fn, r=reduction: fn(x, t, reduction=r), {"input": torch.zeros(0, 2),
                  "target": torch.zeros(0, 2)}, reduction=reduction, **attributes)
    bce = F.binary_cross_entropy_with_logits
    f.add("bce_with_logits_elements", "binary_cross_entropy_with_logits", lambda x, t: bce(x, t, reduction="none"), {"input": logits, "target": share},
          no_grad=("target",), reduction="none")
    f.add("bce_with_logits_wide", "binary_cross_entropy_with_logits", lambda x, t: bce(x, t, reduction="none"),
          {"input": numbers([900.0, -900.0, 900.0, -900.0, 100.0, -100.0]), "target": numbers([1.0, 0.0, 0.0, 1.0, 0.5, 0.5])}, no_grad=("target",),
          reduction="none")
    for reduction in ("mean", "sum"):
        f.add("bce_with_logits_empty_" + reduction, "binary_cross_entropy_with_logits", lambda x, t, r=reduction: bce(x, t, reduction=r),
              {"input": torch.zeros(0), "target": torch.zeros(0)}, no_grad=("target",), reduction=reduction)
        f.add("kl_div_empty_" + reduction, "kl_div", lambda x, t, r=reduction: F.kl_div(x, t, reduction=r), {"input": torch.zeros(0, 2),
              "target": torch.zeros(0, 2)}, reduction=reduction, log_target=False)
    for log_target in (False, True):
        tag = "kl_div_log_target" if log_target else "kl_div"
        f.add(tag + "_pairs", "kl_div", lambda x, t, l=log_target: F.kl_div(x, t, reduction="none", log_target=l), {"input": logits, "target": share},
              reduction="none", log_target=log_target)
        f.add(tag + "_zero_targets", "kl_div", lambda x, t, l=log_target: F.kl_div(x, t, reduction="sum", log_target=l),
              {"input": numbers([[-1.0, -2.0], [-INF, 0.0]]), "target": numbers([[0.0, 1.0], [0.0, 1.0]])}, reduction="sum", log_target=log_target)
    f.add("kl_div_batchmean_empty", "kl_div", lambda x, t: F.kl_div(x, t, reduction="batchmean"), {"input": torch.zeros(0, 2),
          "target": torch.zeros(0, 2)}, reduction="batchmean", log_target=False)

    rows = numbers(list(ROWS.values()))
    count = len(ROWS)
    for smoothing in (0.0, 0.1):
        tag = "_smooth" if smoothing else ""
        for label in (0, 1):
            f.add(f"cross_entropy_rows_{label}{tag}", "cross_entropy", lambda x, t, s=smoothing: F.cross_entropy(x, t, reduction="none", label_smoothing=s),
                  {"input": rows, "target": torch.full((count,), label)}, reduction="none", label_smoothing=smoothing, ignore_index=-100)
        for target, row in (("hard", [0.0, 1.0, 0.0]), ("soft", [0.5, 0.25, 0.25]), ("zero", [0.0, 0.0, 0.0])):
            f.add(f"cross_entropy_probabilities_{target}{tag}", "cross_entropy",
                  lambda x, t, s=smoothing: F.cross_entropy(x, t, reduction="none", label_smoothing=s), {"input": rows, "target": numbers([row] * count)},
                  reduction="none", label_smoothing=smoothing)
    for reduction in ("mean", "none"):
        f.add("cross_entropy_rows_ignored_" + reduction, "cross_entropy", lambda x, t, r=reduction: F.cross_entropy(x, t, reduction=r),
              {"input": rows, "target": torch.tensor([2] + [-100] * (count - 1))}, reduction=reduction, label_smoothing=0.0, ignore_index=-100)
        f.add("nll_rows_ignored_" + reduction, "nll_loss", lambda x, t, r=reduction: F.nll_loss(x, t, reduction=r),
              {"input": rows, "target": torch.tensor([2] + [-100] * (count - 1))}, reduction=reduction, ignore_index=-100)
    f.add("nll_rows", "nll_loss", lambda x, t: F.nll_loss(x, t, reduction="none"), {"input": rows, "target": torch.ones(count, dtype=torch.int64)},
          reduction="none", ignore_index=-100)
    x = numbers([[1.0, 2.0], [0.0, 1.0]])
    for reduction in ("mean", "sum", "none"):
        for smoothing in (0.0, 0.1):
            tag = f"{reduction}{'_smooth' if smoothing else ''}"
            f.add(f"cross_entropy_all_ignored_{tag}", "cross_entropy", lambda x, t, r=reduction, s=smoothing: F.cross_entropy(x, t, reduction=r, label_smoothing=s),
                  {"input": x, "target": torch.tensor([-100, -100])}, reduction=reduction, label_smoothing=smoothing, ignore_index=-100)
            f.add(f"cross_entropy_zero_weights_{tag}", "cross_entropy",
                  lambda x, t, w, r=reduction, s=smoothing: F.cross_entropy(x, t, w, reduction=r, label_smoothing=s),
                  {"input": x, "target": torch.tensor([0, 0]), "weight": numbers([0.0, 1.0])}, no_grad=("weight",), reduction=reduction,
                  label_smoothing=smoothing, ignore_index=-100)
            f.add(f"cross_entropy_no_rows_{tag}", "cross_entropy", lambda x, t, r=reduction, s=smoothing: F.cross_entropy(x, t, reduction=r, label_smoothing=s),
                  {"input": torch.zeros(0, 3), "target": torch.zeros(0, dtype=torch.int64)}, reduction=reduction, label_smoothing=smoothing, ignore_index=-100)
        f.add(f"nll_all_ignored_{reduction}", "nll_loss", lambda x, t, r=reduction: F.nll_loss(x, t, reduction=r), {"input": x,
              "target": torch.tensor([-100, -100])}, reduction=reduction, ignore_index=-100)
        f.add(f"nll_no_rows_{reduction}", "nll_loss", lambda x, t, r=reduction: F.nll_loss(x, t, reduction=r), {"input": torch.zeros(0, 3),
              "target": torch.zeros(0, dtype=torch.int64)}, reduction=reduction, ignore_index=-100)
    f.add("cross_entropy_one_class", "cross_entropy", F.cross_entropy, {"input": numbers([[5.0], [-INF]]), "target": torch.tensor([0, 0])}, reduction="mean",
          label_smoothing=0.0, ignore_index=-100)
    for label in (-1, 2):
        f.add(f"cross_entropy_label_{name_of(label)}", "cross_entropy", F.cross_entropy, {"input": x, "target": torch.tensor([0, label])}, reduction="mean",
              label_smoothing=0.0, ignore_index=-100)
        f.add(f"nll_label_{name_of(label)}", "nll_loss", F.nll_loss, {"input": x, "target": torch.tensor([0, label])}, reduction="mean", ignore_index=-100)


def norms(f):
    weight, bias = numbers([1.5, -0.5, 2.0]), numbers([0.25, 0.5, -1.0])

    def rms(x, w, eps):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * w

    rows = numbers(list(ROWS.values()))
    count = len(ROWS)
    for eps in (1e-5, 0.0):
        tag = "rows" if eps else "rows_no_eps"
        f.add("layer_norm_" + tag, "layer_norm", lambda x, w, b, e=eps: F.layer_norm(x, [3], w, b, e), {"input": rows, "weight": weight, "bias": bias},
              normalized_shape=[3], eps=eps)
        f.add("rms_norm_" + tag, "rms_norm", lambda x, w, e=eps: rms(x, w, e), {"input": rows, "weight": weight}, eps=eps)
        f.add("group_norm_" + tag, "group_norm", lambda x, w, b, e=eps: F.group_norm(x, count, w, b, e),
              {"input": rows.reshape(1, count, 3, 1), "weight": torch.ones(count), "bias": torch.zeros(count)}, num_groups=count, eps=eps)
    channels = rows.t().contiguous()

    def train(x, rm, rv, w, b):
        rm, rv = rm.clone(), rv.clone()
        return F.batch_norm(x, rm, rv, w, b, True, 0.1, 1e-5), {"running_mean": rm, "running_var": rv}

    f.add("batch_norm_rows", "batch_norm", train, {"input": channels, "running_mean": torch.zeros(count), "running_var": torch.ones(count),
          "weight": torch.ones(count), "bias": torch.zeros(count)}, no_grad=("running_mean", "running_var"), training=True, momentum=0.1, eps=1e-5)
    f.add("batch_norm_images", "batch_norm", train, {"input": rows.reshape(1, count, 3, 1), "running_mean": torch.zeros(count),
          "running_var": torch.ones(count), "weight": torch.ones(count), "bias": torch.zeros(count)}, no_grad=("running_mean", "running_var"),
          training=True, momentum=0.1, eps=1e-5)
    for tag, mean, var in (("zero_var", 0.0, 0.0), ("nan_mean", NAN, 1.0), ("inf_mean", INF, 1.0), ("inf_var", 0.0, INF), ("nan_var", 0.0, NAN)):
        f.add("batch_norm_eval_" + tag, "batch_norm", lambda x, rm, rv, w, b: F.batch_norm(x, rm, rv, w, b, False, 0.1, 1e-5),
              {"input": channels, "running_mean": torch.full((count,), mean), "running_var": torch.full((count,), var), "weight": torch.ones(count),
               "bias": torch.zeros(count)}, no_grad=("running_mean", "running_var"), training=False, momentum=0.1, eps=1e-5)
    one = numbers([[2.0]])
    f.add("layer_norm_one_element", "layer_norm", lambda x, w, b: F.layer_norm(x, [1], w, b, 1e-5), {"input": one, "weight": one[0], "bias": one[0]},
          normalized_shape=[1], eps=1e-5)
    f.add("rms_norm_one_element", "rms_norm", lambda x, w: rms(x, w, 0.1), {"input": one, "weight": one[0]}, eps=0.1)
    f.add("group_norm_one_element", "group_norm", lambda x, w, b: F.group_norm(x, 1, w, b, 1e-5), {"input": one, "weight": one[0], "bias": one[0]}, num_groups=1,
          eps=1e-5)
    f.add("batch_norm_one_value", "batch_norm", lambda x, rm, rv: F.batch_norm(x, rm, rv, None, None, True, 0.1, 1e-5),
          {"input": torch.ones(1, 3), "running_mean": torch.zeros(3), "running_var": torch.ones(3)}, no_grad=("running_mean", "running_var"), training=True,
          momentum=0.1, eps=1e-5)
    f.add("layer_norm_no_rows", "layer_norm", lambda x, w, b: F.layer_norm(x, [3], w, b, 1e-5), {"input": torch.zeros(0, 3), "weight": weight, "bias": bias},
          normalized_shape=[3], eps=1e-5)
    f.add("rms_norm_no_rows", "rms_norm", lambda x, w: rms(x, w, 1e-6), {"input": torch.zeros(0, 3), "weight": weight}, eps=1e-6)
    f.add("group_norm_no_samples", "group_norm", lambda x, w, b: F.group_norm(x, 3, w, b, 1e-5), {"input": torch.zeros(0, 3, 2), "weight": weight,
          "bias": bias}, num_groups=3, eps=1e-5)


def pools(f):
    planes = torch.stack([numbers([row, [1.0, 2.0, 4.0], row]) for row in ROWS.values()])
    for tag, x in (("planes", planes.unsqueeze(1)), ("channels", planes.unsqueeze(0))):
        f.add("max_pool2d_" + tag, "max_pool2d", lambda x: F.max_pool2d(x, 2, 1, 1), {"input": x}, kernel_size=[2, 2], stride=[1, 1], padding=[1, 1],
              dilation=[1, 1], ceil_mode=False)
        f.add("avg_pool2d_" + tag, "avg_pool2d", lambda x: F.avg_pool2d(x, 2, 1, 1), {"input": x}, kernel_size=[2, 2], stride=[1, 1], padding=[1, 1],
              ceil_mode=False, count_include_pad=True)
        f.add("adaptive_avg_pool2d_" + tag, "adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, 2), {"input": x}, output_size=[2, 2])
        f.add("global_avg_pool_" + tag, "global_avg_pool", lambda x: x.mean((2, 3)), {"input": x})
    f.add("max_pool2d_no_images", "max_pool2d", lambda x: F.max_pool2d(x, 2), {"input": torch.zeros(0, 2, 4, 4)}, kernel_size=[2, 2], stride=[2, 2],
          padding=[0, 0], dilation=[1, 1], ceil_mode=False)
    f.add("avg_pool2d_no_images", "avg_pool2d", lambda x: F.avg_pool2d(x, 2), {"input": torch.zeros(0, 2, 4, 4)}, kernel_size=[2, 2], stride=[2, 2],
          padding=[0, 0], ceil_mode=False, count_include_pad=True)
    f.add("adaptive_avg_pool2d_no_images", "adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, 2), {"input": torch.zeros(0, 2, 4, 4)}, output_size=[2, 2])


def indexing(f):
    x = numbers([[NAN, INF, -0.0], [1.0, -INF, 2.0]])
    source = numbers([[NAN, 1.0, -INF]])
    for tag, index in (("in_range", [[0, 1, 0]]), ("negative", [[0, -1, 0]]), ("beyond", [[0, 2, 0]]), ("none", None)):
        i = torch.zeros(0, 3, dtype=torch.int64) if index is None else torch.tensor(index)
        s = torch.zeros(0, 3) if index is None else source
        f.add("gather_" + tag, "gather", lambda x, i: x.gather(0, i), {"input": x, "index": i}, dim=0)
        f.add("scatter_" + tag, "scatter", lambda x, i, s: x.scatter(0, i, s), {"input": x, "index": i, "src": s}, dim=0)
        f.add("scatter_add_" + tag, "scatter_add", lambda x, i, s: x.scatter_add(0, i, s), {"input": x, "index": i, "src": s}, dim=0)
        one = torch.zeros(0, dtype=torch.int64) if index is None else i[0]
        f.add("index_select_" + tag, "index_select", lambda x, i: x.index_select(0, i), {"input": x, "index": one}, dim=0)
        f.add("embedding_" + tag, "embedding", lambda i, w: F.embedding(i, w), {"input": i, "weight": x})
    f.add("scatter_add_repeated", "scatter_add", lambda x, i, s: x.scatter_add(0, i, s), {"input": x, "index": torch.tensor([[0, 1, 0], [0, 1, 0]]),
          "src": numbers([[INF, INF, 1.0], [-INF, INF, 2.0]])}, dim=0)
    f.add("embedding_repeated", "embedding", lambda i, w: F.embedding(i, w, padding_idx=1), {"input": torch.tensor([0, 0, 1]), "weight": x}, padding_idx=1)
    f.add("cat_empty", "cat", lambda a, b: torch.cat([a, b], 0), {"a": torch.zeros(0, 3), "b": x}, dim=0)
    f.add("pad_negative", "pad", lambda x: F.pad(x, (-1, 0, 0, 0), value=0.5), {"input": x}, pad=[-1, 0, 0, 0], value=0.5)
    f.add("pad_beyond", "pad", lambda x: F.pad(x, (-2, -2, 0, 0), value=0.5), {"input": x}, pad=[-2, -2, 0, 0], value=0.5)
    f.add("slice_empty", "slice", lambda x: x[:, 2:1], {"input": x}, dim=1, start=2, end=1, step=1)
    f.add("tril_special", "tril", lambda x: x.tril(-1), {"input": x}, diagonal=-1)
    f.add("triu_special", "triu", lambda x: x.triu(1), {"input": x}, diagonal=1)


def products(f):
    x, y = numbers([[0.0, 1.0], [INF, 2.0], [NAN, 0.0]]), numbers([[INF, 1.0, 0.0], [1.0, NAN, 2.0]])
    f.add("matmul_special", "matmul", torch.matmul, {"input": x, "other": y})
    f.add("matmul_no_inner", "matmul", torch.matmul, {"input": torch.zeros(2, 0), "other": torch.zeros(0, 3)})
    f.add("matmul_no_rows", "matmul", torch.matmul, {"input": torch.zeros(0, 2), "other": torch.zeros(2, 3)})
    f.add("matmul_no_batch", "matmul", torch.matmul, {"input": torch.zeros(0, 2, 2), "other": torch.zeros(2, 3)})
    f.add("linear_special", "linear", F.linear, {"input": x, "weight": y.t().contiguous(), "bias": numbers([0.0, INF, NAN])})
    f.add("linear_no_features", "linear", F.linear, {"input": torch.zeros(2, 0), "weight": torch.zeros(3, 0), "bias": numbers([0.0, 1.0, 2.0])})
    image = torch.zeros(1, 1, 3, 3)
    image[0, 0, 1, 1] = INF
    for stride in (1, 2):
        f.add(f"conv2d_special_stride_{stride}", "conv2d", lambda x, w, b, s=stride: F.conv2d(x, w, b, s, 1),
              {"input": image, "weight": torch.ones(2, 1, 3, 3), "bias": torch.zeros(2)}, stride=[stride, stride], padding=[1, 1], dilation=[1, 1], groups=1)

    def attend(q, k, v, mask=None, causal=False):
        """As PyTorch computes it from softmax and products."""
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        if causal:
            scores = scores.masked_fill(~torch.ones(scores.shape[-2:], dtype=torch.bool).tril(), -INF)
        if mask is not None:
            scores = scores.masked_fill(~mask, -INF) if mask.dtype == torch.bool else scores + mask
        return scores.softmax(-1) @ v

    for rows in (3, 7):  # one row at a time, and tiles
        q = f.rand(f"sdpa_{rows}", "q", [rows, 4])
        for poison in (NAN, INF, 1e30):
            k, v = f.rand(f"sdpa_{rows}", "k", [rows, 4]), f.rand(f"sdpa_{rows}", "v", [rows, 4])
            k[-1] = v[-1] = poison
            keep = torch.ones(rows, rows, dtype=torch.bool)
            keep[:, -1] = False
            added = torch.zeros(rows, rows)
            added[:, -1] = -INF
            tag = f"{rows}_{name_of(poison)}"
            f.add(f"sdpa_mask_{tag}", "scaled_dot_product_attention", attend, {"query": q, "key": k, "value": v, "attn_mask": keep}, is_causal=False)
            f.add(f"sdpa_added_{tag}", "scaled_dot_product_attention", attend, {"query": q, "key": k, "value": v, "attn_mask": added},
                  no_grad=("attn_mask",), is_causal=False)
            f.add(f"sdpa_causal_{tag}", "scaled_dot_product_attention", lambda q, k, v: attend(q, k, v, causal=True), {"query": q, "key": k, "value": v},
                  is_causal=True)
            f.add(f"sdpa_plain_{tag}", "scaled_dot_product_attention", attend, {"query": q, "key": k, "value": v}, is_causal=False)
        f.add(f"sdpa_blind_{rows}", "scaled_dot_product_attention", attend, {"query": q, "key": q, "value": q, "attn_mask": torch.zeros(rows, rows,
              dtype=torch.bool)}, is_causal=False)
        f.add(f"sdpa_no_keys_{rows}", "scaled_dot_product_attention", attend, {"query": q, "key": torch.zeros(0, 4), "value": torch.zeros(0, 4)},
              is_causal=False)
        f.add(f"sdpa_one_key_{rows}", "scaled_dot_product_attention", attend, {"query": q, "key": q[:1], "value": q[:1]}, is_causal=False)


def main():
    f = Edges()
    elementwise(f)
    reductions(f)
    losses(f)
    norms(f)
    pools(f)
    indexing(f)
    products(f)
    f.save()


if __name__ == "__main__":
    main()
