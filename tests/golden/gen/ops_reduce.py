"""Reductions, scans, sorting, and the softmax pair."""
import torch

from opcases import Family

NAN, INF = float("nan"), float("inf")
DIMS = {"all": None, "d0": [0], "last": [-1], "d1": [1], "d02": [0, 2], "d01": [0, 1]}


def reduce():
    f = Family("reduce")
    shape = [3, 4, 5]
    ops = {
        "sum": lambda x, d, k: x.sum(d, keepdim=k),
        "mean": lambda x, d, k: x.mean(d, keepdim=k),
        "amax": lambda x, d, k: torch.amax(x, d, keepdim=k),
        "amin": lambda x, d, k: torch.amin(x, d, keepdim=k),
        "logsumexp": lambda x, d, k: torch.logsumexp(x, d, keepdim=k),
    }
    for op, fn in ops.items():
        for tag, dims in DIMS.items():
            for keepdim in (False, True) if tag in ("last", "d02") else (False,):
                case = f"{op}_{tag}" + ("_keepdim" if keepdim else "")
                dim = dims if dims is not None else [0, 1, 2]
                f.add(case, op, lambda x, d=dim, k=keepdim, fn=fn: fn(x, d, k), {"input": f.rand(case, "x", shape)},
                      dim=dim, keepdim=keepdim)
    for op, fn in (("var", torch.var), ("std", torch.std)):
        for tag, dims in DIMS.items():
            for unbiased in (True, False):
                case = f"{op}_{tag}_{'unbiased' if unbiased else 'biased'}"
                dim, keepdim = dims if dims is not None else [0, 1, 2], tag == "d1"
                f.add(case, op, lambda x, d=dim, u=unbiased, k=keepdim, fn=fn: fn(x, d, u, k), {"input": f.rand(case, "x", shape)},
                      dim=dim, unbiased=unbiased, keepdim=keepdim)
    # far from zero: the one-pass formula E[x^2] - E[x]^2 loses every digit here
    f.add("var_far_from_zero", "var", lambda x: x.var([1], unbiased=True), {"input": f.rand("vf", "x", [2, 64], 1e6 - 1, 1e6 + 1)},
          dim=[1], unbiased=True, keepdim=False)

    for op in ("max", "min"):
        for dim in (0, 1, -1):
            for keepdim in (False, True):
                case = f"{op}_dim_{dim if dim >= 0 else 'last'}" + ("_keepdim" if keepdim else "")

                def pair(x, op=op, dim=dim, keepdim=keepdim):
                    values, indices = getattr(x, op)(dim, keepdim)
                    return values, {"indices": indices}

                f.add(case, op + "_dim", pair, {"input": f.rand(case, "x", shape)}, dim=dim, keepdim=keepdim)
        f.add(op + "_all", op, getattr(torch, op), {"input": f.rand(op, "x", shape)})
        tie = torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [-1.0, -4.0, -4.0]])
        f.add(op + "_all_tie", op, getattr(torch, op), {"input": tie}, note="ties share the gradient evenly")
        f.add(f"a{op}_tie", "a" + op, lambda x, op=op: getattr(torch, "a" + op)(x, [1]), {"input": tie}, dim=[1], keepdim=False,
              note="ties share the gradient evenly")

        def tie_pair(x, op=op):
            values, indices = getattr(x, op)(1)
            return values, {"indices": indices}

        f.add(op + "_dim_tie", op + "_dim", tie_pair, {"input": tie}, dim=1, keepdim=False, note="the first of equals takes all")
        f.add(op + "_nan", op, getattr(torch, op), {"input": torch.tensor([1.0, NAN, 3.0])}, backward=False)
        for dim in (0, 1, 2):
            f.add(f"arg{op}_{dim}", "arg" + op, lambda x, op=op, d=dim: getattr(torch, "arg" + op)(x, d),
                  {"input": f.rand("arg" + op, f"x{dim}", shape)}, backward=False, dim=dim, keepdim=False)
        f.add(f"arg{op}_all", "arg" + op, lambda x, op=op: getattr(torch, "arg" + op)(x), {"input": f.rand("arg" + op, "xa", shape)},
              backward=False, note="index into the flattened input")

    f.add("prod_all", "prod", lambda x: x.prod(), {"input": f.rand("prod_all", "x", [2, 3])})
    for dim in (0, 1, -1):
        case = f"prod_dim_{dim if dim >= 0 else 'last'}"
        f.add(case, "prod", lambda x, d=dim: x.prod(d), {"input": f.rand(case, "x", shape)}, dim=dim, keepdim=False)
    one, two = torch.tensor([[2.0, 0.0, 3.0], [1.5, -1.0, 2.0]]), torch.tensor([[2.0, 0.0, 0.0], [0.0, -1.0, 2.0]])
    f.add("prod_one_zero", "prod", lambda x: x.prod(1), {"input": one}, dim=1, keepdim=False)
    f.add("prod_two_zeros", "prod", lambda x: x.prod(1), {"input": two}, dim=1, keepdim=False)

    f.add("logsumexp_wide", "logsumexp", lambda x: x.logsumexp([1]), {"input": f.rand("lw", "x", [3, 6], -900.0, 900.0)}, dim=[1], keepdim=False)
    partly = f.rand("li", "x", [2, 4])
    partly[0, 1] = partly[1, 3] = -INF
    f.add("logsumexp_minus_inf", "logsumexp", lambda x: x.logsumexp([1]), {"input": partly}, dim=[1], keepdim=False)
    f.add("logsumexp_all_minus_inf", "logsumexp", lambda x: x.logsumexp([1]), {"input": torch.full((2, 3), -INF)}, backward=False,
          dim=[1], keepdim=False)
    f.add("logsumexp_plus_inf", "logsumexp", lambda x: x.logsumexp([1]), {"input": torch.tensor([[INF, 1.0, 2.0]])}, backward=False,
          dim=[1], keepdim=False)
    f.add("sum_empty", "sum", lambda x: x.sum([0]), {"input": torch.zeros(0, 3)}, dim=[0], keepdim=False)
    f.add("sum_large", "sum", lambda x: x.sum([0, 1]), {"input": f.rand("sl", "x", [37, 53])}, dim=[0, 1], keepdim=False)

    for q in (0.0, 0.25, 0.5, 0.99, 1.0):
        for tag, dim in (("all", None), ("d0", 0), ("last", -1)):
            case = f"quantile_{str(q).replace('.', 'p')}_{tag}"
            attributes = {} if dim is None else {"dim": dim, "keepdim": False}
            f.add(case, "quantile", lambda x, q=q, d=dim: x.quantile(q, d), {"input": f.rand(case, "x", [5, 4, 7])}, q=q,
                  interpolation="linear", **attributes)
    f.add("quantile_several", "quantile", lambda x: x.quantile(torch.tensor([0.1, 0.5, 0.77]), 1), {"input": f.rand("qs", "x", [3, 6])},
          q=[0.1, 0.5, 0.77], dim=1, keepdim=False, interpolation="linear", note="several q add a leading dimension to the result")
    for mode in ("lower", "higher", "midpoint", "nearest"):
        f.add("quantile_" + mode, "quantile", lambda x, m=mode: x.quantile(0.3, 1, interpolation=m), {"input": f.rand("qm", mode, [3, 6])},
              q=0.3, dim=1, keepdim=False, interpolation=mode)
    f.save()


def scan():
    f = Family("scan")
    for dim in (0, 1, -1):
        case = f"cumsum_{dim if dim >= 0 else 'last'}"
        f.add(case, "cumsum", lambda x, d=dim: x.cumsum(d), {"input": f.rand(case, "x", [3, 4, 5])}, dim=dim)
    for dim in (0, 1, -1):
        for descending in (False, True):
            case = f"sort_{dim if dim >= 0 else 'last'}" + ("_descending" if descending else "")

            def sorted_pair(x, dim=dim, descending=descending):
                values, indices = x.sort(dim, descending)
                return values, {"indices": indices}

            f.add(case, "sort", sorted_pair, {"input": f.rand(case, "x", [4, 5, 6])}, dim=dim, descending=descending)
    tie = torch.tensor([[2.0, 1.0, 2.0, 1.0, 0.0]])
    for descending in (False, True):

        def stable_pair(x, descending=descending):
            values, indices = torch.sort(x, stable=True, dim=1, descending=descending)
            return values, {"indices": indices}

        f.add("sort_stable_tie" + ("_descending" if descending else ""), "sort", stable_pair, {"input": tie}, dim=1, descending=descending,
              stable=True)
    for k in (1, 3):
        for dim in (0, -1):
            for largest in (True, False):
                case = f"topk_{k}_{dim if dim >= 0 else 'last'}" + ("" if largest else "_smallest")

                def top(x, k=k, dim=dim, largest=largest):
                    values, indices = x.topk(k, dim, largest, True)
                    return values, {"indices": indices}

                f.add(case, "topk", top, {"input": f.rand(case, "x", [5, 4, 7])}, k=k, dim=dim, largest=largest, sorted=True)
    f.save()


def softmax():
    f = Family("softmax")
    for op, fn in (("softmax", torch.softmax), ("log_softmax", torch.log_softmax)):
        for tag, shape, dim in (("last", [3, 7], -1), ("d0", [4, 3], 0), ("middle", [2, 5, 3], 1), ("one", [4, 1], 1), ("long", [2, 131], 1)):
            case = f"{op}_{tag}"
            f.add(case, op, lambda x, d=dim, fn=fn: fn(x, d), {"input": f.rand(case, "x", shape, -3.0, 3.0)}, dim=dim)
        f.add(op + "_wide", op, lambda x, fn=fn: fn(x, 1), {"input": f.rand(op, "wide", [3, 6], -900.0, 900.0)}, dim=1)
    masked = f.rand("masked", "x", [2, 5])
    masked[0, 1:3] = -INF
    masked[1, 4] = -INF
    f.add("softmax_masked", "softmax", lambda x: x.softmax(1), {"input": masked}, dim=1, note="entries of -inf give exact zeros")
    f.save()


def main():
    reduce()
    scan()
    softmax()


if __name__ == "__main__":
    main()
