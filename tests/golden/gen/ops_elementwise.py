"""Element-wise ops, activations and straight-through estimators."""
import torch
import torch.nn.functional as F

from opcases import Family

NAN, INF = float("nan"), float("inf")
KINK_NOTE = "the subgradient at the kink is PyTorch's"


def unary():
    f = Family("unary")
    any_range, positive, inside = (-2.0, 2.0), (0.1, 3.0), (-0.9, 0.9)
    table = {
        "neg": (torch.neg, any_range), "abs": (torch.abs, any_range), "square": (torch.square, any_range),
        "exp": (torch.exp, any_range), "expm1": (torch.expm1, any_range), "sin": (torch.sin, any_range),
        "cos": (torch.cos, any_range), "tanh": (torch.tanh, any_range), "erf": (torch.erf, any_range),
        "atan": (torch.atan, any_range), "sigmoid": (torch.sigmoid, any_range), "log": (torch.log, positive),
        "log2": (torch.log2, positive), "log1p": (torch.log1p, inside), "sqrt": (torch.sqrt, positive),
        "rsqrt": (torch.rsqrt, positive), "reciprocal": (torch.reciprocal, positive), "sign": (torch.sign, any_range),
        "round": (torch.round, any_range), "floor": (torch.floor, any_range), "ceil": (torch.ceil, any_range),
    }
    for op, (fn, span) in table.items():
        f.add(op, op, fn, {"input": f.rand(op, "x", [3, 5], *span)})
    f.add("reciprocal_negative", "reciprocal", torch.reciprocal, {"input": f.rand("rn", "x", [7], -3.0, -0.2)})
    f.add("exp_wide", "exp", torch.exp, {"input": f.rand("ew", "x", [40], -87.0, 80.0)})
    f.add("tanh_wide", "tanh", torch.tanh, {"input": f.rand("tw", "x", [40], -20.0, 20.0)})
    f.add("sigmoid_wide", "sigmoid", torch.sigmoid, {"input": f.rand("sw", "x", [40], -40.0, 40.0)})
    f.add("erf_wide", "erf", torch.erf, {"input": f.rand("fw", "x", [40], -6.0, 6.0)})
    f.add("log1p_tiny", "log1p", torch.log1p, {"input": f.rand("lt", "x", [9], -1e-8, 1e-8)})
    f.add("expm1_tiny", "expm1", torch.expm1, {"input": f.rand("et", "x", [9], -1e-8, 1e-8)})
    ties = torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 0.49999999999999994, -0.0])
    f.add("round_half_even", "round", torch.round, {"input": ties})
    f.add("abs_kink", "abs", torch.abs, {"input": torch.tensor([-1.0, -0.0, 0.0, 1.0])}, note=KINK_NOTE)
    f.add("sign_zero", "sign", torch.sign, {"input": torch.tensor([-1.0, -0.0, 0.0, 1.0])})
    special = torch.tensor([NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0])
    for op in ("exp", "log", "sqrt", "abs", "tanh", "sigmoid", "reciprocal", "rsqrt", "erf", "sign"):
        f.add(op + "_special", op, table[op][0], {"input": special}, backward=False)
    f.save()


def binary():
    f = Family("binary")
    shapes = {"same": ([3, 4], [3, 4]), "broadcast": ([2, 3, 1], [3, 4]), "scalar": ([3, 4], []), "row": ([4, 3], [3]),
              "both": ([2, 1, 3], [1, 4, 1])}
    ops = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "maximum": torch.maximum,
           "minimum": torch.minimum, "pow": torch.pow}
    for op, fn in ops.items():
        for tag, (a, b) in shapes.items():
            case = f"{op}_{tag}"
            low = {"pow": 0.2}.get(op, -2.0)
            x, y = f.rand(case, "a", a, low, 2.0), f.rand(case, "b", b, -2.0, 2.0)
            if op == "div":
                y = torch.where(y < 0, y - 0.3, y + 0.3)
            f.add(case, op, fn, {"input": x, "other": y})
    for exponent in (2.0, 3.0, 0.5, -1.0, 1.7, 0.0, 1.0):
        case = f"pow_scalar_{str(exponent).replace('.', 'p').replace('-', 'm')}"
        f.add(case, "pow_scalar", lambda x, e=exponent: x.pow(e), {"input": f.rand(case, "x", [6], 0.2, 2.0)}, exponent=exponent)
    for exponent in (2.0, 3.0, -2.0):
        case = f"pow_scalar_negative_base_{str(exponent).replace('.', 'p').replace('-', 'm')}"
        f.add(case, "pow_scalar", lambda x, e=exponent: x.pow(e), {"input": f.rand(case, "x", [6], -2.0, -0.2)}, exponent=exponent)
    f.add("pow_scalar_base", "scalar_pow", lambda y: torch.pow(1.7, y), {"exponent": f.rand("psb", "y", [6])}, base=1.7)
    zero = torch.tensor([0.0, 0.0, 1.0])
    for exponent in (0.0, 1.0, 2.0, 3.0):
        f.add(f"pow_zero_base_{int(exponent)}", "pow_scalar", lambda x, e=exponent: x.pow(e), {"input": zero}, exponent=exponent,
              note=KINK_NOTE)
    f.add("maximum_tie", "maximum", torch.maximum, {"input": torch.tensor([1.0, 2.0, -0.5]), "other": torch.tensor([1.0, 1.0, -0.5])},
          note="a tie gives each side half")
    f.add("minimum_tie", "minimum", torch.minimum, {"input": torch.tensor([1.0, 2.0, -0.5]), "other": torch.tensor([1.0, 1.0, -0.5])},
          note="a tie gives each side half")
    nans = torch.tensor([NAN, 1.0, NAN]), torch.tensor([1.0, NAN, NAN])
    f.add("maximum_nan", "maximum", torch.maximum, {"input": nans[0], "other": nans[1]}, backward=False)
    f.add("minimum_nan", "minimum", torch.minimum, {"input": nans[0], "other": nans[1]}, backward=False)
    f.add("add_empty", "add", torch.add, {"input": torch.zeros(0, 3), "other": f.rand("ae", "b", [3])})

    for tag, low, high in (("both", -0.7, 0.9), ("min", -0.3, None), ("max", None, 0.4), ("crossed", 0.5, -0.5)):
        case = "clamp_" + tag
        bounds = {k: v for k, v in (("min", low), ("max", high)) if v is not None}
        f.add(case, "clamp", lambda x, b=bounds: x.clamp(**b), {"input": f.rand(case, "x", [3, 5])}, **bounds)
    f.add("clamp_kink", "clamp", lambda x: x.clamp(-1.0, 1.0), {"input": torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])}, min=-1.0, max=1.0,
          note="the gradient passes at the bounds themselves")
    f.add("clamp_nan", "clamp", lambda x: x.clamp(-1.0, 1.0), {"input": torch.tensor([NAN, INF, -INF])}, backward=False, min=-1.0, max=1.0)

    for tag, c, a, b in (("same", [3, 4], [3, 4], [3, 4]), ("broadcast", [3, 1], [2, 1, 4], [3, 4]), ("scalar", [3, 4], [], [3, 4])):
        case = "where_" + tag
        condition = f.ints(case, "c", c, 2).bool()
        f.add(case, "where", torch.where, {"condition": condition, "input": f.rand(case, "a", a), "other": f.rand(case, "b", b)})
    mask = f.ints("masked_fill", "m", [3, 1], 2).bool()
    f.add("masked_fill", "masked_fill", lambda x, m: x.masked_fill(m, -3.5),
          {"input": f.rand("masked_fill", "x", [2, 3, 4]), "mask": mask}, value=-3.5)
    f.save()


def activation():
    f = Family("activation")
    table = {
        "relu": ("relu", F.relu, {}),
        "leaky_relu": ("leaky_relu", F.leaky_relu, {"negative_slope": 0.01}),
        "leaky_relu_0p2": ("leaky_relu", lambda x: F.leaky_relu(x, 0.2), {"negative_slope": 0.2}),
        "gelu_erf": ("gelu", F.gelu, {"approximate": "none"}),
        "gelu_tanh": ("gelu", lambda x: F.gelu(x, approximate="tanh"), {"approximate": "tanh"}),
        "silu": ("silu", F.silu, {}),
        "sigmoid": ("sigmoid", torch.sigmoid, {}),
        "tanh": ("tanh", torch.tanh, {}),
        "hardswish": ("hardswish", F.hardswish, {}),
        "hardsigmoid": ("hardsigmoid", F.hardsigmoid, {}),
        "softplus": ("softplus", F.softplus, {"beta": 1.0, "threshold": 20.0}),
        "softplus_beta": ("softplus", lambda x: F.softplus(x, 2.0, 5.0), {"beta": 2.0, "threshold": 5.0}),
        "logsigmoid": ("logsigmoid", F.logsigmoid, {}),
        "elu": ("elu", F.elu, {"alpha": 1.0}),
        "relu6": ("relu6", F.relu6, {}),
    }
    for case, (op, fn, attributes) in table.items():
        f.add(case, op, fn, {"input": f.rand(case, "x", [3, 7], -4.5, 4.5)}, **attributes)
        f.add(case + "_wide", op, fn, {"input": f.rand(case, "wide", [40], -30.0, 30.0)}, **attributes)
    for case in ("relu", "leaky_relu", "hardswish"):
        op, fn, attributes = table[case]
        f.add(case + "_kink", op, fn, {"input": torch.tensor([-3.0, -0.0, 0.0, 3.0])}, note=KINK_NOTE, **attributes)
        f.add(case + "_special", op, fn, {"input": torch.tensor([NAN, INF, -INF])}, backward=False, **attributes)
    f.save()


class StraightThrough(torch.autograd.Function):
    """fn forward, identity backward."""

    @staticmethod
    def forward(ctx, x, fn):
        return fn(x)

    @staticmethod
    def backward(ctx, grad):
        return grad, None


def ste():
    f = Family("ste")
    x = torch.cat([f.rand("x", "x", [12], -3.0, 3.0), torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.0])])
    table = {"round_ste": (torch.round, {}), "sign_ste": (torch.sign, {}), "relu_ste": (torch.relu, {}),
             "clamp_ste": (lambda t: t.clamp(-1.0, 2.0), {"min": -1.0, "max": 2.0})}
    for op, (fn, attributes) in table.items():
        f.add(op, op, lambda t, fn=fn: StraightThrough.apply(t, fn), {"input": x}, note="the gradient passes everywhere", **attributes)
    f.save()


def main():
    unary()
    binary()
    activation()
    ste()


if __name__ == "__main__":
    main()
